"""Names of the environment by which a variable becomes code in a program that is started.

Such a variable may be *read* when it is granted.  It is never *given* to a program that a flow runs: who may set
``LD_PRELOAD`` of one granted program runs any code at all.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_PREFIXES: Final = (
    "LD_", "DYLD_", "PYTHON", "NODE_", "NPM_CONFIG_", "GIT_", "PERL5", "RUBY", "BASH_FUNC_", "MALLOC_", "GCONV_",
    "GLIBC_", "COR_", "CORECLR_", "DOTNET_", "LUA_INIT", "BORG_", "RESTIC_PASSWORD_",
)  # fmt: skip

_NAMES: Final = frozenset(
    (
        # shells
        "BASH_ENV", "BASHOPTS", "CDPATH", "ENV", "GLOBIGNORE", "IFS", "PATH", "PROMPT_COMMAND", "PS4", "SHELL",
        "SHELLOPTS", "ZDOTDIR",
        # interpreters and virtual machines
        "CLASSPATH", "ERL_AFLAGS", "ERL_FLAGS", "ERL_LIBS", "GEM_HOME", "GEM_PATH", "JAVA_TOOL_OPTIONS",
        "JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "LUA_CPATH", "LUA_PATH", "VIMINIT", "PERLLIB", "PHPRC", "PHP_INI_SCAN_DIR",
        "R_PROFILE", "_JAVA_OPTIONS", "VIRTUAL_ENV",
        # programs that start what a variable names
        "BROWSER", "CC", "CXX", "EDITOR", "GREP_OPTIONS", "LESSOPEN", "LESSCLOSE", "MANPAGER", "PAGER", "RUSTC_WRAPPER",
        "SSH_ASKPASS", "SUDO_ASKPASS", "VISUAL", "RSYNC_RSH", "CVS_RSH", "SVN_SSH", "TAR_OPTIONS", "MAKEFLAGS",
        "GNUMAKEFLAGS", "GOFLAGS", "GCC_EXEC_PREFIX", "KUBECTL_EXTERNAL_DIFF", "EXINIT", "DIFF_OPTIONS",
        # libraries that load what a variable names
        "GTK_MODULES", "HOSTALIASES", "LOCPATH", "NLSPATH", "OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES",
        "QT_PLUGIN_PATH", "RES_OPTIONS", "TERMINFO", "TERMINFO_DIRS",
    )
)  # fmt: skip


def is_name(name: str) -> bool:
    """Whether ``name`` can be the name of a variable or of a secret: letters, digits and ``_``, no digit first."""
    return _NAME.fullmatch(name) is not None


def is_hijacking(name: str) -> bool:
    """Whether a program that is started with the variable ``name`` may run code that the variable chooses."""
    upper = name.upper()
    return upper in _NAMES or upper.startswith(_PREFIXES)
