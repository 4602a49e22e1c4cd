"""``sceneseek evaluate``: how good the search is, and whether one way is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ui.cli.options import App, Config, Device, Group, Index, Json, Quiet
from ui.services.context import Context
from ui.services.evaluation import check_installed

_COMPARE = "--compare"


class _EvaluateGroup(Group):
    """Takes ``--compare AXIS=A,B...`` for ``compare AXIS=A,B...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command where it belongs."""
        return super().parse_args(ctx, _with_compare_first(args))


def _with_compare_first(args: list[str]) -> list[str]:
    """Options first, one of them ``--compare``: no command has such an option, so it stands for the command."""
    place = next((place for place, text in enumerate(args) if text.split("=")[0] == _COMPARE), None)
    if place is None or not args[0].startswith("-"):
        return args
    joined = args[place][len(_COMPARE) + 1 :]
    return ["compare", *args[:place], *([joined] if joined else []), *args[place + 1 :]]


evaluate_app = App(
    name="evaluate",
    cls=_EvaluateGroup,
    callback=lambda: check_installed(),  # without its parameter, which would become an option
    help="Measure how good the search is on your corpus, and whether B is better than A. "
    "'evaluate --compare AXIS=A,B' is 'evaluate compare AXIS=A,B'.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go; a stopped run continues there.")]
Queries = Annotated[
    Path, typer.Argument(metavar="QUERIES", help="Captions: MSR-VTT, MSVD, QuerYD, LSMDC or query,file,start_s,end_s.")
]
Depth = Annotated[int, typer.Option("--depth", metavar="N", min=1, help="How many answers a query is given.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Show this one; may be repeated. All are written.")
]
Classes = Annotated[
    str,
    typer.Option("--classes", metavar="FILE|ucf101|kinetics50", help="The classes. (default: the labels of the index)"),
]


@evaluate_app.command("actions")
def actions_command(
    index: Index = None,
    out: Out = Path("evaluation/actions"),
    classes: Classes = "",
    templates: Annotated[
        str, typer.Option("--templates", metavar="NAME|FILE", help="Sentences about a class: clip, plain, french.")
    ] = "clip",
    pooling: Annotated[
        str, typer.Option("--pooling", metavar="NAME", help="From frames to a video: mean, max or query.")
    ] = "mean",
    tau: Annotated[float, typer.Option("--tau", metavar="T", help="How sharply 'query' prefers fitting frames.")] = 0.1,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Which action a video shows, by its pictures alone: P@1, hit@3, a table of classes, a page of all videos."""
    from search.evaluate.actions import action_options
    from ui.cli.evaluate_actions import evaluate_actions

    options = action_options(classes, templates, pooling, tau)
    context = _context(config, index, device)
    raise typer.Exit(evaluate_actions(context, options, out, as_json=as_json, quiet=quiet))


@evaluate_app.command("retrieval")
def retrieval_command(
    queries: Queries,
    index: Index = None,
    out: Out = Path("evaluation/retrieval"),
    depth: Depth = 100,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How well captions find their video, and their moment: R@k, MdR, MRR, mAP, nDCG, recall by overlap."""
    from ui.cli.evaluate_retrieval import evaluate_retrieval

    context = _context(config, index, device)
    raise typer.Exit(evaluate_retrieval(context, queries, out, depth=depth, as_json=as_json, quiet=quiet))


@evaluate_app.command("compare")
def compare_command(
    asked: Annotated[
        list[str],
        typer.Argument(
            metavar="[QUERIES] AXIS=A,B...",
            help="Captions as for 'retrieval', and such as profile=embedded,standard keyframes=shots,middle "
            "only=frames,speech weights=default,ocr:0.5. Without captions, 'actions' is compared, also by "
            "pooling=mean,max,query templates=clip,plain,french tau=0.05,0.1.",
        ),
    ],
    index: Index = None,
    out: Out = Path("evaluation/compare"),
    classes: Classes = "",
    depth: Depth = 100,
    metric: Metrics = None,
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search or recognise actions in every combination of the axes: differences with intervals and significance."""
    from ui.cli.evaluate_retrieval import Comparison, compare

    is_axis = "=" in asked[0] and not Path(asked[0]).is_file()
    comparison = Comparison(
        captions=None if is_axis else Path(asked[0]),
        axes=tuple(asked if is_axis else asked[1:]),
        out=out,
        metrics=tuple(metric or ()),
        depth=depth,
        classes=classes,
    )
    raise typer.Exit(compare(_context(config, index, device), comparison, as_json=as_json, quiet=quiet))


@evaluate_app.command("self-test")
def self_test_command(
    index: Index = None,
    queries: Annotated[
        int, typer.Option("--queries", metavar="N", min=10, help="At most so many; more make it surer.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another number draws other queries.")] = 0,
    out: Out = Path("evaluation/self-test"),
    device: Device = None,
    config: Config = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What your own library can expect: its own texts as queries, searched for by everything else."""
    from ui.cli.evaluate_self_test import self_test

    context = _context(config, index, device)
    raise typer.Exit(self_test(context, out, queries=queries, seed=seed, as_json=as_json, quiet=quiet))


@evaluate_app.command("runs")
def runs_command(
    qrels: Annotated[Path, typer.Argument(metavar="QRELS", help="Judgements in TREC's form.")],
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs in TREC's form, of any program.")],
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Measure runs that are in files; with several, each against the first."""
    from ui.cli.evaluate_retrieval import compare_run_files

    raise typer.Exit(compare_run_files(qrels, runs, metrics=metric or (), as_json=as_json))


def _context(config: Path | None, index: Path | None, device: str | None) -> Context:
    return Context.load(config, index, {"models.device": device})
