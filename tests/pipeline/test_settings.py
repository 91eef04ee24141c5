import importlib
import pkgutil

import slipway
from slipway.pipeline.settings import ALL, env_example
from slipway.settings import Settings
from tests.conftest import REPOSITORY


def test_env_example_is_what_the_settings_say():
    seen = (REPOSITORY / ".env.example").read_text()
    assert seen == env_example(), "run: .venv/bin/slipway settings --env-example > .env.example"


def test_every_settings_class_is_listed():
    for module in pkgutil.walk_packages(slipway.__path__, "slipway."):
        if module.name.endswith(".settings"):
            importlib.import_module(module.name)
    assert set(Settings.__subclasses__()) == set(ALL)


def test_every_setting_says_what_it_is_for_and_has_a_name_in_the_environment():
    for kind in ALL:
        for name, field in kind.model_fields.items():
            assert field.alias, f"{kind.__name__}.{name} has no alias"
            assert field.description, f"{kind.__name__}.{name} has no description"
