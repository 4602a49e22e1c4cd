"""``sceneseek evaluate``: how good the search is, and whether one way is better than another.

Commands exit with 3 where rows of a file, videos or lines were left out.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from indexer.core.errors import UsageError
from ui.cli.console import answer_console, plain, print_json, side_console, work_bar
from ui.cli.options import App, Config, Device, Group, Index, Json, Quiet, argument, option
from ui.services.context import Context
from ui.services.evaluation import check_installed, measure_actions

SOME_SKIPPED = 3
_COMPARE = "--compare"


class _EvaluateGroup(Group):
    """Takes ``--compare AXIS=A,B...`` for ``compare AXIS=A,B...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command first."""
        place = next((place for place, text in enumerate(args) if text.split("=")[0] == _COMPARE), None)
        if place is not None and args[0].startswith("-"):
            joined = args[place][len(_COMPARE) + 1 :]
            args = ["compare", *args[:place], *([joined] if joined else []), *args[place + 1 :]]
        return super().parse_args(ctx, args)


evaluate_app = App(
    name="evaluate",
    cls=_EvaluateGroup,
    callback=check_installed,
    help="Measure how good the search is on your corpus, and whether B is better than A. "
    "'evaluate --compare AXIS=A,B' is 'evaluate compare AXIS=A,B'.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, option("--out DIR", "Where the files go; a stopped run continues there.")]
Queries = Annotated[Path, argument("QUERIES", "Captions: MSR-VTT, MSVD, QuerYD, LSMDC or query,file,start_s,end_s.")]
Depth = Annotated[int, option("--depth N", "How many answers a query is given.", min=1)]
Metrics = Annotated[list[str] | None, option("--metric NAME", "Show this one; may be repeated. All are written.")]
Classes = Annotated[str, option("--classes FILE|ucf101|kinetics50", "The classes. (default: the labels of the index)")]
Sentences = Annotated[str, option("--templates NAME|FILE", "Sentences about a class: clip, plain, french.")]
Compared = Annotated[
    list[str],
    argument(
        "[QUERIES] AXIS=A,B...",
        "Captions as for 'retrieval', and such as profile=embedded,standard keyframes=shots,middle "
        "only=frames,speech weights=default,ocr:0.5. Without captions, 'actions' is compared, also by "
        "pooling=mean,max,query templates=clip,plain,french tau=0.05,0.1.",
    ),
]


@evaluate_app.command("actions")
def evaluate_actions(
    index: Index = None,
    out: Out = Path("evaluation/actions"),
    classes: Classes = "",
    templates: Sentences = "clip",
    pooling: Annotated[str, option("--pooling NAME", "From frames to a video: mean, max or query.")] = "mean",
    tau: Annotated[float, option("--tau T", "How sharply 'query' prefers fitting frames.")] = 0.1,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Which action a video shows, by its pictures alone: P@1, hit@3, a table of classes, a page of all videos."""
    from search.evaluate.actions import action_options
    from search.evaluate.report import evaluation_as_json
    from ui.cli.evaluate_tables import print_actions

    options = action_options(classes, templates, pooling, tau)
    context = Context.load(config, index, {"models.device": device})
    with work_bar(silent=quiet) as progress:
        evaluation, files = measure_actions(context, options, out, progress)
    if as_json:
        print_json({**evaluation_as_json(evaluation), "files": [str(path) for path in files]})
    else:
        print_actions(answer_console(), side_console(), evaluation)
        answer_console().print(f"Every video with its picture: [bold]{plain(files[0])}[/]", soft_wrap=True)
    return SOME_SKIPPED if evaluation.broken_lines else 0


@evaluate_app.command("retrieval")
def evaluate_retrieval(
    queries: Queries,
    index: Index = None,
    out: Out = Path("evaluation/retrieval"),
    depth: Depth = 100,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """How well captions find their video, and their moment: R@k, MdR, MRR, mAP, nDCG, recall by overlap."""
    from search.evaluate import retrieval
    from search.evaluate.captions import read_queries
    from ui.cli.evaluate_tables import print_retrieval

    context = Context.load(config, index, {"models.device": device})
    options = context.run_options(depth)
    read = read_queries(queries)
    with context.open_engine() as engine, work_bar(silent=quiet) as progress:
        report = retrieval.evaluate_retrieval(engine, read, out=out, options=options, progress=progress)
    if as_json:
        print_json(report.as_json())
    else:
        print_retrieval(answer_console(), report)
        _print_files(out)
    return SOME_SKIPPED if report.skipped or report.unmatched else 0


@evaluate_app.command("compare")
def compare(
    asked: Compared,
    index: Index = None,
    out: Out = Path("evaluation/compare"),
    classes: Classes = "",
    depth: Depth = 100,
    metric: Metrics = None,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search or recognise actions in every combination of the axes: differences with intervals and significance."""
    from search.evaluate import captions, metrics, prompts
    from search.evaluate import compare as comparison
    from ui.cli.evaluate_tables import chosen_metrics, print_comparison

    context = Context.load(config, index, {"models.device": device})
    variants = comparison.IndexVariants(context.loaded, out / "indexes")
    has_captions = "=" not in asked[0] or Path(asked[0]).is_file()
    if has_captions and classes:
        raise UsageError("Classes make no difference to a search.", hint="Leave out --classes, or the captions.")
    known = [*metrics.VIDEO_METRICS, *metrics.MOMENT_METRICS] if has_captions else comparison.ACTION_METRICS
    chosen_metrics(metric, known)  # fail early
    with work_bar(silent=quiet) as progress:
        if has_captions:
            setups, queries = comparison.parse_setups(asked[1:]), captions.read_queries(Path(asked[0]))
            options = context.run_options(depth)
            table = comparison.compare_setups(setups, queries, variants, out=out, options=options, progress=progress)
        else:
            setups = comparison.action_setups(comparison.parse_setups(asked))
            listed = prompts.read_classes(classes) if classes else None
            table = comparison.compare_actions(setups, variants, out=out, classes=listed, progress=progress)
    if as_json:
        print_json(asdict(table))
    else:
        print_comparison(answer_console(), table, chosen_metrics(metric, [each.name for each in table.rows[0].metrics]))
        kind = "queries" if has_captions else "labelled videos"
        answer_console().print(f"{table.queries} {kind}. All figures: {plain(out)}", soft_wrap=True)
    return SOME_SKIPPED if table.skipped or table.unmatched or table.failed else 0


@evaluate_app.command("self-test")
def self_test(
    index: Index = None,
    queries: Annotated[int, option("--queries N", "At most so many; more make it surer.", min=10)] = 200,
    seed: Annotated[int, option("--seed N", "Another number draws other queries.")] = 0,
    out: Out = Path("evaluation/self-test"),
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What your own library can expect: its own texts as queries, searched for by everything else."""
    from search.evaluate.self_test import run_self_test
    from ui.cli.evaluate_tables import print_self_test

    context = Context.load(config, index, {"models.device": device})
    options = context.run_options()
    with context.open_engine() as engine, closing(context.open_store()) as store, work_bar(silent=quiet) as progress:
        report = run_self_test(engine, store, out=out, queries=queries, seed=seed, options=options, progress=progress)
    if as_json:
        print_json(report.as_json())
    else:
        print_self_test(answer_console(), report)
        _print_files(out)


@evaluate_app.command("runs")
def compare_run_files(
    qrels: Annotated[Path, argument("QRELS", "Judgements in TREC's form.")],
    runs: Annotated[list[Path], argument("RUN...", "Runs in TREC's form, of any program.")],
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Measure runs that are in files; with several, each against the first."""
    from search.evaluate.compare import compared
    from search.evaluate.qrels import read_qrels
    from search.evaluate.retrieval import measure_run
    from search.evaluate.runs import read_run
    from ui.cli.evaluate_tables import chosen_metrics, metric_table, print_differences

    judged, read = read_qrels(qrels), [(str(path), read_run(path)) for path in runs]
    documents = set[str]().union(*judged.values(), *(run.documents for _, run in read))
    rows = compared([(name, measure_run(run, judged, corpus_size=len(documents)), 0) for name, run in read])
    names = chosen_metrics(metric, [each.name for each in rows[0].metrics])
    if as_json:
        print_json([asdict(row) for row in rows])
    elif len(rows) == 1:
        answer_console().print(metric_table(rows[0].metrics))
    else:
        print_differences(answer_console(), rows, names)


def _print_files(out: Path) -> None:
    answer_console().print(f"Files: {plain(out)} (queries.csv has every query)", soft_wrap=True)
