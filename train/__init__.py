"""The application around `rasd`: training, evaluation, baselines. It imports rasd; rasd never imports it."""
