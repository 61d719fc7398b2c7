from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from model import SettingsError
from service.settings import PREFIX, Settings

README = Path(__file__).resolve().parents[1] / "README.md"


def test_defaults_need_no_environment():
    assert Settings.from_environment({"PATH": "/bin"}) == Settings()


def test_settings_survive_the_environment():
    settings = Settings(model=Path("m"), port=9, workers=3, max_characters=10)
    assert Settings.from_environment(settings.to_environment()) == settings


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("VIGIE_PROT", "1", 'unknown setting "VIGIE_PROT"; did you mean "VIGIE_PORT"?'),
        ("VIGIE_PORT", "http", 'VIGIE_PORT: expected a whole number, got "http"'),
        ("VIGIE_WORKERS", "0", "VIGIE_WORKERS: expected 1 or more, got 0"),
        ("VIGIE_REGISTRY", "", "VIGIE_REGISTRY: expected a path, got nothing"),
        ("VIGIE_LOG_LEVEL", "loud", "VIGIE_LOG_LEVEL: expected one of debug, info"),
    ],
)
def test_a_bad_setting_is_named(variable, value, message):
    with pytest.raises(SettingsError) as error:
        Settings.from_environment({variable: value})
    assert str(error.value).startswith(message)


def test_every_setting_is_in_the_readme():
    documented = README.read_text(encoding="utf-8")
    for setting in fields(Settings):
        assert f"`{PREFIX}{setting.name.upper()}`" in documented
