"""Runs a program as somebody other than root: PostgreSQL refuses to run as root.

Nothing of the user's is opened up for it. Where the account cannot walk to the program or to the
data (a home of mode 0700), the program keeps one capability, to pass by file permissions, and
nothing else of root.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ACCOUNT_NAME = "appengine-db"
"""Made when root first needs it: a system account without home, password or shell."""

_FALLBACK_NAME = "nobody"
"""Where accounts cannot be made, as in a container with a read-only root file system."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user and a group by number; they need not have a name."""

    uid: int
    gid: int


def account_for(folder: Path) -> Account | None:
    """Who is to own `folder` and to work in it; None: we ourselves, as we are not root.

    A folder that is there and not root's keeps its owner. Otherwise the account is made when it is
    missing; this blocks for some 50 ms, once.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return Account(folder.stat().st_uid, folder.stat().st_gid)
    return _named(ACCOUNT_NAME) or _make_account() or _named(_FALLBACK_NAME)


def command_as(
    account: Account | None, command: Sequence[str], *, reaching: Iterable[Path]
) -> list[str]:
    """`command` so that it runs as `account` and can reach the paths `reaching`."""
    if account is None:
        return list(command)
    numbers = ["--reuid", str(account.uid), "--regid", str(account.gid), "--clear-groups"]
    if all(_open_to_all(path) for path in reaching):
        rights = ["--inh-caps", "-all"]
    else:
        # no_setuid_fixup: access(2) would ignore the capability without it, and initdb asks it
        rights = ["--inh-caps", "-all,+dac_override", "--ambient-caps", "-all,+dac_override"]
        rights += ["--securebits", "+no_setuid_fixup"]
    return ["setpriv", *numbers, *rights, "--no-new-privs", "--", *command]


def has_name(uid: int) -> bool:
    """Whether the machine knows this number; containers may be started with any."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _open_to_all(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid)


def _make_account() -> Account | None:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME]
    for _ in range(5):  # useradd fails when another one holds the lock of /etc/passwd
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            return None
        except subprocess.CalledProcessError:
            time.sleep(0.1)
        if account := _named(ACCOUNT_NAME):
            return account
    return None
