"""URLs of repositories, which stand where names of clusters can.

A URL is kept and printed, so it must not have secrets: those belong to the environment.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from clusterdb.errors import InvalidArgumentError

__all__ = ["is_url", "plain_url", "require_no_secrets"]

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_SECRET = re.compile(r"credential|password|secret|signature|token|(?<![a-z])(key|pass|sas|sig)(?![a-z])")
_NO_SECRETS = re.compile(r"(.*_)?(skip_signature|(file|id|enabled|path|endpoint|url|uri))")
"""Names of settings with a secret's word that have none: ``access_key_id``, ``web_identity_token_file``."""
_VARIABLES = {
    "s3": {"secret": "AWS_SECRET_ACCESS_KEY", "token": "AWS_SESSION_TOKEN"},
    "az": {
        "sas": "AZURE_STORAGE_SAS_TOKEN",
        "secret": "AZURE_CLIENT_SECRET",
        "token": "AZURE_STORAGE_TOKEN",
        "key": "AZURE_STORAGE_ACCOUNT_KEY",
    },
    "gs": {"key": "GOOGLE_SERVICE_ACCOUNT_KEY"},
}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_KEY",
    "gs": "GOOGLE_SERVICE_ACCOUNT",
}


def is_url(text: str) -> bool:
    """Whether a text names a repository, or a database in one, rather than a cluster."""
    return _URL.match(text) is not None


def plain_url(url: str) -> str:
    """A URL as it is shown: without the settings of its query, and without a user and a password."""
    scheme, _, rest = url.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.rpartition("@")[2].partition("/")
    return f"{scheme}://{host.partition(':')[0]}{slash}{path}"


def require_no_secrets(url: str) -> None:
    """Check that a URL has no password, and none of its settings is a secret.  Raises InvalidArgumentError."""
    parts = urlsplit(url)
    variables = _VARIABLES.get(parts.scheme, {})
    settings = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in settings:
        if _SECRET.search(name.lower()) and not _NO_SECRETS.fullmatch(name.lower()):
            variable = next((variables[word] for word in variables if word in name.lower()), "")
            raise _secret(url, f"the setting '{name}' is a secret", variable or _CREDENTIALS.get(parts.scheme, ""))
        host, _, port = value.partition("://")[2].partition("/")[0].rpartition(":")
        if "@" in host + port or (host and not port.isdecimal() and "]" not in port):
            raise _secret(url, f"the setting '{name}' has a password", _CREDENTIALS.get(parts.scheme, ""))
    if "@" in parts.netloc or ":" in parts.netloc:
        raise _secret(url, "it has a user or a password", _CREDENTIALS.get(parts.scheme, ""))


def _secret(url: str, reason: str, variables: str) -> InvalidArgumentError:
    instead = f"set {variables} in the environment" if variables else "remove it"
    return InvalidArgumentError(f"'{plain_url(url)}': {reason}, and URLs are kept and printed: {instead} instead")
