import ast
import json
import re
import shutil
import sys

import pytest
import yaml
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from train.card_header import estimate_emissions, round_to_two
from train.evaluate import evaluate_run
from train.model_card import app, render_card, render_notice
from train.report import HEADLINE, format_p
from train.runs import RunError, RunFolder

REPO = "someone/rasd-embedded"
SPAN, ACTOR = "قصفت ميليشيا أسد البلدة", "ميليشيا أسد"


@pytest.fixture(scope="module")
def scored(small_run, tmp_path_factory):
    """The small run, scored on its test spans; a second set has lower scores and is called real."""
    copy = tmp_path_factory.mktemp("card") / "run"
    shutil.copytree(small_run.path, copy, ignore=shutil.ignore_patterns("checkpoints", "metrics.json", "*.parquet"))
    run = RunFolder(copy)
    evaluate_run(run, "test")
    real = lower(run.read_metrics()["test"])
    slices = real["checkpoint"]["slices"]
    slices["origin"] = {"annotated": {"spans": 24}}
    slices["outlet"]["odd|name"] = next(iter(slices["outlet"].values())) | {"spans": 3}
    run.add_metrics("test: data/annotated/test.jsonl", real)
    return with_encoder(run, "embedded")


def lower(value):
    """Scores with every float a little lower."""
    if isinstance(value, dict):
        return {key: lower(part) for key, part in value.items()}
    if isinstance(value, list):
        return [lower(part) for part in value]
    return 0.9 * value if isinstance(value, float) else value


@pytest.fixture
def run(scored, tmp_path):
    """A copy of the scored run that a test may change."""
    shutil.copytree(scored.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture(scope="module")
def card(scored):
    return render_card(scored, REPO)


@pytest.fixture(scope="module")
def metrics(scored):
    return scored.read_metrics()


def with_encoder(run, name):
    plain = yaml.safe_load(run.config_file.read_text(encoding="utf-8"))
    plain["model"]["name_or_path"] = name
    run.config_file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return run


def change(run, edit):
    """Edit the checkpoint's scores on the run's own test spans."""
    metrics = run.read_metrics()
    edit(metrics["test"]["checkpoint"])
    run.metrics_file.write_text(json.dumps(metrics), encoding="utf-8")


def numbers(value):
    """Every number below a value, as the card may write it."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return set()
    return {f"{value:,}", f"{value:.3f}".replace("-", "−"), format_p(value)}


def sections(card):
    """The parts of the card that show a test set each, in order."""
    results = card[card.index("\n## Results") : card.index("\n## Thresholds")]
    return re.split(r"\n### ", results)[1:]


def blocks(card, language):
    return re.findall(rf"```{language}\n(.*?)```", card, flags=re.DOTALL)


def test_every_number_of_its_tables_is_in_the_metrics(card, metrics):
    parts = sections(card)
    assert len(parts) == len(metrics) == 2
    for part, name in zip(parts, reversed(metrics), strict=True):
        known = numbers(metrics[name]) | {"95"}  # a heading has the level
        cells = [cell for line in part.splitlines() if line.startswith("|") for cell in line.split("|")[2:]]
        shown = {number for cell in cells for number in re.findall(r"(?:< )?−?\d[\d,]*(?:\.\d+)?", cell)}
        shown = {number.rstrip(",") for number in shown}
        assert len(shown) > 40
        assert shown <= known, shown - known
        for system, scores in metrics[name].items():
            row = re.search(rf"^\| {system} \| (.*) \|$", part, flags=re.MULTILINE).group(1).split(" | ")
            for cell, key in zip(row, HEADLINE, strict=True):
                value = scores
                for step in key.split("."):
                    value = value[step]
                low, high = scores["intervals"][key]
                assert cell == f"{value:.3f} [{low:.3f},\N{NO-BREAK SPACE}{high:.3f}]"


def test_each_number_stands_in_its_own_column(card, metrics):
    for part, name in zip(sections(card), reversed(metrics), strict=True):
        own = metrics[name]["checkpoint"]
        for label, row in own["events"]["per_class"].items():
            assert f"\n| {label} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} [" in part
            assert f"] | {row['auprc']:.3f} | {row['support']} |" in part
        for task, title in (("events", "each event type"), ("stance", "the chosen stance")):
            row = own["calibration"][task]
            assert f"\n| {title} | {row['ece']:.3f} | {row['brier']:.3f} |" in part
        for row in own["significance"]:
            ends = f"{format_p(row['p_holm'])} | {format_p(row['mcnemar_p_holm'])} |"
            assert re.search(rf"\n\| {HEADLINE[row['metric']]} \| {row['system']} \| .* \| {re.escape(ends)}", part)
        noise = own["probes"]["orthographic_noise"]
        assert f"all held | {noise['right']:.3f} | {noise['cases']} |" in part


def test_real_spans_come_first(card, metrics):
    first, second = sections(card)
    assert first.startswith("Real news: 24 spans")
    assert second.startswith("Authored spans: 24 spans")
    best = metrics[list(metrics)[1]]["checkpoint"]
    summary = card[card.index('<div dir="rtl">') : card.index("</div>")]
    assert f"{best['events']['macro_f1']:.3f}" in summary
    assert f"{best['intervals']['stance.macro_f1'][1]:.3f}" in summary


def test_every_outlet_and_actor_is_shown_with_its_support(card, metrics):
    for part, name in zip(sections(card), reversed(metrics), strict=True):
        slices = metrics[name]["checkpoint"]["slices"]
        assert slices["outlet"]
        assert slices["actor"]
        for outlet, scores in slices["outlet"].items():
            assert f"\n| `{outlet.replace('|', chr(92) + '|')}` | {scores['spans']} |" in part
        for actor, scores in slices["actor"].items():
            assert f"`{actor}` | {scores['stance_rows']} |" in part


def test_nothing_is_blank_or_left_to_fill_in(card):
    assert (
        re.findall(
            r"\b(?:None|nan|NaN|inf|TODO|TBD|Undefined)\b|\{\{|\}\}|\{%|\| *\|(?!-)", card.replace("top_k=None", "")
        )
        == []
    )
    assert not re.search(r"\n## [^\n]+\n+(?=## |$)", card)
    assert str(RunFolder("/tmp").path) not in card  # no path of this machine


def test_its_header_says_on_the_hub_what_the_metrics_say(card, metrics):
    data = ModelCard(card).data
    assert (data.language, data.license, data.library_name) == ("ar", "mit", "transformers")
    assert (data.pipeline_tag, data.model_name, data.base_model) == ("text-classification", "rasd-embedded", None)
    found = {(result.dataset_name, result.metric_name): result for result in data.eval_results}
    kinds = zip(("authored spans", "real news"), metrics.values(), strict=True)
    for kind, scores in kinds:
        own = scores["checkpoint"]
        stance = found[f"rasd, {kind} (silver labels)", "Macro-F1 of stance"]
        assert (stance.metric_type, stance.metric_value) == ("f1", round(own["stance"]["macro_f1"], 3))
        error = found[f"rasd, {kind} (silver labels)", "Calibration error of events"]
        assert error.metric_value == round(own["calibration"]["events"]["ece"], 3)
    assert len(found) == len(data.eval_results) == 18


def test_its_code_runs_and_gives_what_the_classifier_gives(scored, classifier, monkeypatch, capsys):
    local = render_card(scored, str(scored.model))
    alone, with_rasd = blocks(local, "python")
    with monkeypatch.context() as stranger:
        stranger.setitem(sys.modules, "rasd", None)  # cannot be imported
        exec(alone, {})
    events, modality, stance = map(ast.literal_eval, capsys.readouterr().out.splitlines())
    prediction = classifier.predict([SPAN], actors=[[ACTOR]], all_events=True)[0]
    assert events == pytest.approx({event.type: event.probability for event in prediction.events}, abs=1e-5)
    assert max(modality, key=modality.get) == prediction.events[0].modality
    assert sum(modality.values()) == pytest.approx(1)
    assert stance[prediction.stances[0].stance] == pytest.approx(prediction.stances[0].probability, abs=1e-5)
    exec(with_rasd, {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[]"  # the headline names no actor
    assert "('syr_regime', 'ميليشيا أسد'" in lines[3]
    assert lines[-1].startswith("[(0, 11, ")
    assert "huggingface.co/" + str(scored.model) not in local


def test_its_request_to_the_server_is_well_formed(card):
    (request,) = blocks(card, "bash")
    body = json.loads(re.search(r"-d '(.*)'", request, flags=re.DOTALL).group(1))
    assert body == {"inputs": [ACTOR, SPAN], "raw_scores": True}
    assert "softmax to all 19 labels" in card


def test_licence_and_origin_are_those_of_the_encoder(run, card):
    assert "4-bit-rounded multilingual-e5-small" in card
    assert "American University of Beirut" not in card
    for encoder, licence in (
        ("aubmindlab/bert-base-arabertv02", "arabert"),
        ("someone/bert", "licence-of-the-encoder"),
    ):
        other = render_card(with_encoder(run, encoder), REPO)
        data = ModelCard(other).data
        assert (data.base_model, data.license, data["license_name"]) == (encoder, "other", licence)
        assert ("American University of Beirut" in other) == ("antoun2020arabert" in other) == (licence == "arabert")
        assert "e5" not in other[other.index("# rasd") : other.index("## Uses")]


def test_the_notice_is_what_the_licence_of_the_encoder_asks_for(run):
    assert "Permission is hereby granted" in (mit := render_notice(run))
    assert "The above copyright notice and this permission notice shall be included in all copies" in mit
    arabert = render_notice(with_encoder(run, "aubmindlab/bert-base-arabertv02"))
    assert "American University of Beirut" in arabert
    assert "Permission is hereby granted" not in arabert
    assert "derived from someone/bert\n" in render_notice(with_encoder(run, "someone/bert"))


def test_it_says_how_many_spans_the_run_read(run, card):
    counts = run.read_info()["counts"]
    assert [counts[split]["authored"] for split in ("train", "validation")] == [60, 24]
    shown = [f"(60 authored and 0 annotated spans, {counts['train']['examples']} examples)"]
    shown += [f"(24 authored and 0 annotated spans, {counts['validation']['examples']} examples)"]
    assert all(part in card for part in shown)
    info = run.read_info()
    del info["counts"]  # as in runs of before
    run.info_file.write_text(json.dumps(info), encoding="utf-8")
    assert render_card(run, REPO).count("(number of spans not recorded)") == 2


def test_of_other_peoples_spans_it_says_nothing_that_holds_for_the_projects(run, card, tmp_path):
    assert "A language model labelled the spans" in card
    plain = yaml.safe_load(run.config_file.read_text(encoding="utf-8"))
    (tmp_path / "mine.jsonl").touch()
    plain["data"]["train"] = [str(tmp_path / "mine.jsonl")]
    run.config_file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    other = render_card(run, REPO)
    for claim in (
        "language model labelled",
        "four public corpora",
        "which a test guards",
        "نموذج لغوي",
        "data/README.md",
    ):
        assert claim in card
        assert claim not in other
    assert "for those to say who made them" in other


def test_it_says_where_real_spans_were_left_out(run, card):
    plain = yaml.safe_load(run.config_file.read_text(encoding="utf-8"))
    plain["data"]["train"] += ["data/annotated/train.jsonl"]
    run.config_file.write_text(yaml.safe_dump(plain), encoding="utf-8")
    assert "were left out" not in card
    assert "real spans among them were left out" in render_card(run, REPO)


def test_a_card_without_a_number_is_refused(run):
    change(run, lambda own: own.pop("calibration"))
    with pytest.raises(RunError, match=r"'test' has no calibration\.events\.ece.*train\.evaluate .* --split test`"):
        render_card(run, REPO)
    change(run, lambda own: own.update(calibration=own | {"events": {"ece": float("nan")}}))
    with pytest.raises(RunError, match=r"no calibration\.events\.ece, "):
        render_card(run, REPO)


@pytest.mark.parametrize("key", ["probes", "significance"])
def test_a_card_without_probes_or_baselines_is_refused(run, key):
    change(run, lambda own: own.update({key: []}))
    with pytest.raises(RunError, match=f"'test' has no {key}; .*with baselines and probes"):
        render_card(run, REPO)


def test_a_number_that_is_none_deep_in_a_table_is_refused(run):
    change(run, lambda own: own["events"]["per_class"]["offensive"].update(recall=None))
    with pytest.raises(RunError, match="a score is None"):
        render_card(run, REPO)
    change(run, lambda own: own["events"]["per_class"]["offensive"].pop("recall"))
    with pytest.raises(RunError, match="has no attribute 'recall'"):
        render_card(run, REPO)


@pytest.mark.parametrize(
    "edit",
    [
        lambda own: own["probes"]["quotation_wrap"].pop("right"),
        lambda own: own["significance"][0].update(p_holm=float("nan")),
        lambda own: own["slices"]["outlet"]["tilal_brief"].update(event_exact_match=float("inf")),
    ],
)
def test_a_dash_never_stands_for_what_was_not_stored(run, edit):
    change(run, edit)
    with pytest.raises(RunError, match="lack what the card shows"):
        render_card(run, REPO)


def test_runs_that_no_card_can_describe_are_refused(run, small_encoder):
    with pytest.raises(RunError, match="neither a folder nor a Hub id; write owner/name"):
        render_card(run, "no owner")
    with pytest.raises(RunError, match=r"is the folder .*train from a Hub id"):
        render_card(with_encoder(run, str(small_encoder)), REPO)
    with_encoder(run, "embedded").metrics_file.write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match=r"no test metrics; run `python -m train\.evaluate"):
        render_card(run, REPO)


def test_command_prints_or_writes_the_card(scored, card, tmp_path):
    printed = CliRunner().invoke(app, [str(scored.path), "--repo-id", REPO])
    assert (printed.exit_code, printed.stdout) == (0, card)
    path = tmp_path / "README.md"
    assert CliRunner().invoke(app, [str(scored.path), "--repo-id", REPO, "--output", str(path)]).exit_code == 0
    assert path.read_text(encoding="utf-8") == card
    refused = CliRunner().invoke(app, [str(tmp_path), "--output", str(tmp_path / "none.md")])
    assert refused.exit_code == 2
    assert "holds no finished run" in refused.stderr
    assert not (tmp_path / "none.md").exists()


def test_emissions_follow_from_time_cores_and_cards():
    session = {"seconds": 1800.0, "processes": 2}
    hardware = {"cores": 50, "gpu": None, "cpu": "x"}
    without = estimate_emissions({"sessions": [session, session], "hardware": hardware})
    assert (without["minutes"], without["gpus"]) == (60, 0)
    assert without["kwh"] == pytest.approx(0.5)  # 50 cores at 10 W for an hour
    assert without["grams"] == pytest.approx(240)  # at 480 g a kWh
    cards = estimate_emissions({"sessions": [session, session], "hardware": hardware | {"gpu": "H200"}})
    assert cards["kwh"] == pytest.approx(0.5 + 1.4)  # and two cards at 700 W
    assert [round_to_two(value) for value in (1234.5, 10.6, 0.0341)] == [1200, 11, 0.034]
    with pytest.raises(RunError, match="how long the training took"):
        estimate_emissions({"sessions": [], "hardware": hardware})
