"""How clearly the package names things; tests/language.py has the words and the counting."""

import pytest
from language import PACKAGE, measure_vague_names, measure_verbs


def write_package(folder, text):
    (folder / "module.py").write_text(text)
    return folder


@pytest.mark.slow
def test_vague_names_are_rare():
    per_thousand, names = measure_vague_names(PACKAGE)
    assert per_thousand <= 9.5, names.most_common(20)


@pytest.mark.slow
def test_most_functions_start_with_a_verb():
    percent, without_verb = measure_verbs(PACKAGE)
    assert percent >= 84, without_verb


def test_every_binding_counts(tmp_path):
    package = write_package(tmp_path, "found = 1\nfor made in ():\n    day = made\nlambda told: 0\n")
    per_thousand, names = measure_vague_names(package)
    assert per_thousand == 750
    assert dict(names) == {"found": 1, "made": 1, "told": 1}


def test_properties_and_special_functions_do_not_count(tmp_path):
    text = "class A:\n    @property\n    def grid2(self): ...\n    def __len__(self): ...\n"
    text += "    def _read_day(self): ...\n    def days(self): ...\n"
    assert measure_verbs(write_package(tmp_path, text)) == (50, ["days"])
