"""The rules of style.md that can be read from the source: docstrings, names, sizes, time, what is ignored and why."""

import ast
import re

import pytest

from tests.source_tree import PACKAGES, ROOT, calls, comments, modules, modules_of_tests, name_of

FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager", "base", "data"})
CLOCK_READERS = frozenset({"clock", "cli", "simulator"})
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def test_every_module_says_what_it_is() -> None:
    without = [
        str(module)
        for module in (*modules(), *modules_of_tests())
        if module.tree.body and not ast.get_docstring(module.tree)
    ]

    assert not without, without


def test_everything_public_has_a_sentence() -> None:
    definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    without = [
        f"{module}:{node.lineno} {node.name}"
        for module in modules()
        for node in module.tree.body
        if isinstance(node, definitions)
        and not node.name.startswith("_")
        and not any(name_of(decorator).endswith("overload") for decorator in node.decorator_list)
        and not ast.get_docstring(node)
    ]

    assert not without, "\n".join(without)


def test_no_module_has_a_name_that_says_nothing() -> None:
    for module in (*modules(), *modules_of_tests()):
        assert not FORBIDDEN_NAMES & set(module.name.split(".")), str(module)


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    long = [str(module) for module in (*modules(), *modules_of_tests()) if module.source.count("\n") > LONGEST_MODULE]

    assert not long, long


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{module}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module in (*modules(), *modules_of_tests())
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]

    assert not long, "\n".join(long)


def test_only_the_clock_the_command_line_and_the_simulator_read_the_time() -> None:
    readers = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
    faults = [
        f"{module}:{call.lineno} reads the time"
        for module in modules()
        for call in calls(module)
        if module.package not in CLOCK_READERS and name_of(call.func).removeprefix("datetime.datetime.") in readers
    ]

    assert not faults, "\n".join(faults)


def test_no_datetime_is_made_without_a_zone() -> None:
    def is_naive(call: ast.Call) -> bool:
        match name_of(call.func).removeprefix("datetime."), {keyword.arg for keyword in call.keywords}:
            case ("datetime", keywords):
                return "tzinfo" not in keywords and None not in keywords
            case ("now" | "fromtimestamp", keywords):
                return "tz" not in keywords and len(call.args) < (1 if name_of(call.func).endswith("now") else 2)
            case ("utcnow" | "utcfromtimestamp" | "today", _):
                return True
        return False

    faults = [
        f"{module}:{call.lineno} {name_of(call.func)}"
        for module in modules()
        for call in calls(module)
        if is_naive(call)
    ]

    assert not faults, "\n".join(faults)


def test_whatever_is_ignored_has_its_reason_beside_it() -> None:
    directive = re.compile(r"#\s*(?:type:\s*ignore|noqa)(?P<rest>.*)")
    reason = re.compile(r"(?:#|—)\s*\w.{7,}")
    faults = [
        f"{module}:{line} {comment}"
        for module in (*modules(), *modules_of_tests())
        for line, comment in comments(module.path)
        if (found := directive.search(comment)) and not reason.search(found["rest"])
    ]

    assert not faults, "\n".join(faults)


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    marks = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    faults = [
        f"{module}:{line} {comment}"
        for module in (*modules(), *modules_of_tests())
        for line, comment in comments(module.path)
        if marks.search(comment)
    ]

    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("folder", [*PACKAGES, "tests", "scripts", "."])
def test_no_file_names_a_path_of_the_machine_it_was_written_on(folder: str) -> None:
    machine = re.compile("/(?:" + "|".join(("work", "home", "root", "Users")) + ")/")
    suffixes = {".py", ".sql", ".toml", ".md", ".txt", ".sh", ".cfg", ".ini", ".json", ""}
    found = (ROOT / folder).glob("*") if folder == "." else (ROOT / folder).rglob("*")
    files = [path for path in found if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts]

    named = [str(path) for path in files if machine.search(path.read_text(errors="replace"))]

    assert not named, named
