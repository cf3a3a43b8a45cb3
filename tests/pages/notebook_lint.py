"""What a committed notebook must be; `faults(path)` says in sentences what it is not."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

MAX_BYTES = 700_000
IMPORTS = {"bctlib", "companion", "numpy", "pandas", "matplotlib", "IPython"}
MACHINE_PATH = re.compile(r"/(?:home|root|work|tmp|Users|var/folders)/[\w.-]+|[A-Z]:\\\\+Users")


def faults(path: Path) -> list[str]:
    """Everything that is wrong with the notebook, an empty list where nothing is."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    found = [*_whole(path, notebook), *_parameters(notebook)]
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            found += [f"cell {index}: {fault}" for fault in (*_source(cell.source), *_outputs(cell))]
    return found


def _whole(path: Path, notebook) -> Iterator[str]:
    if path.stat().st_size >= MAX_BYTES:
        yield f"{path.stat().st_size} bytes, at most {MAX_BYTES}"
    kernel = notebook.metadata.get("kernelspec", {})
    if kernel.get("name") != "python3" or kernel.get("language") != "python":
        yield "kernelspec must be python3, language python"
    if "widgets" in notebook.metadata:
        yield "widget state"
    if "papermill" in notebook.metadata or any("papermill" in cell.metadata for cell in notebook.cells):
        yield "papermill's metadata"
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    counts = [cell.execution_count for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"not one run from top to bottom: execution counts {counts}"
    if path_found := MACHINE_PATH.search(_text(notebook)):
        yield f"a path of somebody's machine: {path_found[0]}"


def _text(notebook) -> str:
    """The notebook as JSON without its pictures, whose base64 may spell anything."""
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for mime in [mime for mime in output.get("data", {}) if mime.startswith("image/") and "svg" not in mime]:
                del output["data"][mime]
    return json.dumps(notebook)


def _parameters(notebook) -> Iterator[str]:
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    if "injected-parameters" in tags:
        yield "a cell that papermill injected"
    if tags.count("parameters") != 1:
        yield f"{tags.count('parameters')} cells tagged parameters, expected one"
        return
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    for statement in ast.parse(cell.source).body:
        try:
            is_name = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            literal = is_name and (ast.literal_eval(statement.value), True)[1]
        except ValueError:
            literal = False
        if not literal:
            yield f"the parameters cell holds more than literals: {ast.unparse(statement)}"
        elif statement.lineno != statement.end_lineno or "#" not in cell.source.splitlines()[statement.lineno - 1]:
            yield f"a parameter needs one line with a comment: {ast.unparse(statement)}"


def _source(source: str) -> Iterator[str]:
    if TransformerManager().transform_cell(source).strip() != source.strip():
        yield "magic or shell commands"
        return
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and ast.unparse(node).startswith("say(") and node not in tree.body[-1:]:
            yield "a text of say is shown only as a cell's last expression, elsewhere by display(say(...))"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"defines {node.name}: code belongs in bctlib"
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            yield "assigns a lambda: code belongs in bctlib"
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if module.split(".")[0] not in IMPORTS:
                yield f"imports {module}, allowed are {', '.join(sorted(IMPORTS))}"


def _outputs(cell) -> Iterator[str]:
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"an error output: {output.ename}"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"a warning or message on stderr: {output.text[:80]!r}"
        if any("widget" in mime for mime in output.get("data", {})):
            yield "a widget output"
