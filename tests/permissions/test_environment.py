from __future__ import annotations

import pytest

from flowmetal.permissions import is_hijacking


@pytest.mark.parametrize(
    "name",
    [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PATH",
        "PERL5OPT",
        "PERL5LIB",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "BASH_FUNC_ls%%",
        "path",
        "Ld_Preload",
        "SHELLOPTS",
        "EDITOR",
        "LESSOPEN",
    ],
)
def test_variables_that_become_code(name: str) -> None:
    # 56: what a program that is started never gets
    assert is_hijacking(name)


@pytest.mark.parametrize(
    "name", ["HOME", "LANG", "TZ", "KUBECONFIG", "GITHUB_TOKEN", "MY_PATH", "ENVIRONMENT", "LDAP_HOST"]
)
def test_variables_that_are_data(name: str) -> None:
    assert not is_hijacking(name)
