"""Which variables of the environment hold a secret: no child process is given them. Pure.

By a rule about names and values, because nobody can list every service: a name with a word that
services use for what proves who somebody is, or a value that is an address with a password in it.
A name that is caught by mistake costs nothing: libraries that compute read no such names.
"""

import re
from collections.abc import Mapping

# Words of a name between underscores; a word may stand alone or end in S.
WORDS = frozenset(
    {"KEY", "PAT", "PWD", "AUTH", "JWT", "COOKIE", "PASS", "SAS", "OAUTH", "BEARER", "SIGNATURE"}
)
# Parts of a name that are long enough to mean it wherever they stand.
PARTS = (
    *("TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY"),
    *("PRIVATEKEY", "ACCESSKEY", "CONNECTIONSTRING", "CONNECTION_STRING", "NETRC"),
)
# Services whose every variable goes: accounts, profiles and places of keys under many names.
SERVICES = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "GITHUB_", "ACTIONS_", "GH_", "VAULT_")
# What a name may hold that looks like one of the above and is none.
KEPT = frozenset({"PWD", "OLDPWD", "GITHUB_SHA"})
NOT_PARTS = re.compile(r"TOKENI[SZ]")  # TOKENIZERS_PARALLELISM
USER_AND_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")


def holds_secret(name: str, value: str = "") -> bool:
    """Whether a variable may hold a token, a key, a password or an address with one.

    Args:
        name: of the variable, in any case.
        value: of the variable.
    """
    upper = NOT_PARTS.sub("", name.upper())
    if upper in KEPT:
        return False
    words = {word for one in re.split(r"[^A-Z]+", upper) for word in (one, one.removesuffix("S"))}
    return (
        upper.startswith(SERVICES)
        or any(part in upper for part in PARTS)
        or not words.isdisjoint(WORDS)
        or USER_AND_PASSWORD.search(value) is not None
    )


def without_secrets(
    variables: Mapping[str, str], entrusted: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return an environment without what may hold a secret.

    Args:
        variables: of a process.
        entrusted: names that are kept whatever they hold.
    """
    return {
        name: value
        for name, value in variables.items()
        if name in entrusted or not holds_secret(name, value)
    }
