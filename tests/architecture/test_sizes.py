"""Short functions, short files, a public surface that fits on half a screen."""

from statistics import median

from repository import PACKAGE, files, functions, name, package, sources


def test_no_function_is_longer_than_60_lines() -> None:
    assert [f for f in functions(*package()) if f.lines > 60] == []


def test_nine_functions_in_ten_have_at_most_30_lines() -> None:
    everyone = functions(*package())
    long = sorted((f for f in everyone if f.lines > 30), key=lambda f: -f.lines)
    assert len(long) <= len(everyone) / 10, long


def test_the_median_function_has_at_most_8_lines() -> None:
    assert median(f.lines for f in functions(*package())) <= 8


def test_no_file_is_longer_than_400_lines() -> None:
    long = {name(p): n for p in sources("") if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400}
    assert long == {}


def test_the_public_surface_has_at_most_40_lines() -> None:
    assert len((PACKAGE / "__init__.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_no_committed_file_is_larger_than_2_mb() -> None:
    assert {name(p): p.stat().st_size for p in files() if p.stat().st_size > 2_000_000} == {}
