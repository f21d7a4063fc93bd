"""What a finished run shows: a short table, the path of the export, and the lines of Python that use it."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from jaxemb.evaluation import comparison_table
from jaxemb.runs.result import TrainResult
from jaxemb.runs.seeds import Scores, mean_and_sd


def print_seeds(scores: Mapping[int, Scores]) -> None:
    """Prints the scores of several seeds, one a row, with mean and standard deviation."""
    table = Table(title=f"{len(scores)} seed{'s' * (len(scores) != 1)}: accuracy in percent, Spearman x 100")
    for heading in ("score", "mean", "sd", *(f"seed {seed}" for seed in scores)):
        table.add_column(heading, justify="left" if heading == "score" else "right")
    for name, (mean, deviation) in mean_and_sd(scores).items():
        table.add_row(escape(name), f"{mean:.2f}", f"{deviation:.2f}", *(f"{one[name]:.2f}" for one in scores.values()))
    Console(highlight=False, soft_wrap=True).print(table)


def print_result(result: TrainResult) -> None:
    """Prints the scores of all systems and how to use the export."""
    console = Console(highlight=False, soft_wrap=True)
    for reports in result.reports.by_suite.values():
        if all(report.comparison is not None for report in reports.values()):
            console.print(comparison_table(reports))
    if result.export_dir is None:
        console.print(f"run directory: {escape(str(result.run_dir))}")
        return
    path = escape(str(result.export_dir))
    console.print(f"exported to [bold]{path}[/]; use it with jaxemb, or with sentence-transformers:\n")
    lines = (
        "from jaxemb import load  # or: from sentence_transformers import SentenceTransformer as load\n"
        f'model = load("{result.export_dir}")\n'
        'embeddings = model.encode(["Hello world", "Bonjour le monde"])'
    )
    if not result.towers.tied:
        lines = (
            "from sentence_transformers import SentenceTransformer\n"
            f'model = SentenceTransformer("{result.export_dir}")\n'
            'anchors, positives = model.encode_query(["Hello world"]), model.encode_document(["Bonjour le monde"])\n\n'
            "import jaxemb\n"
            f'anchor = jaxemb.load("{result.export_dir}", tower="anchor")  # and tower="positive"\n'
            'anchors = anchor.encode(["Hello world"])'
        )
    console.print(Syntax(lines, "python", background_color="default"))
