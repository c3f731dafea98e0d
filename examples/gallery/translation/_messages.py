"""Messages and their translations, out of the catalogues that packages ship for gettext."""

import gettext
import re
from importlib.util import find_spec
from pathlib import Path

__all__ = ["catalogues", "messages", "sameness"]


def catalogues(package, language):
    """Return the compiled catalogues of a package, in one order on every machine."""
    found = find_spec(package)
    folders = [] if found is None else list(found.submodule_search_locations or [])
    pattern = f"**/locale/{language}/LC_MESSAGES/*.mo"
    return sorted(path for folder in folders for path in Path(folder).glob(pattern))


def messages(packages, language, longest=60):
    """Return pairs of an English message and its translation, each message once.

    Messages of several lines, with markup, or of more than `longest` characters are left out.
    """
    pairs = {}
    for package in packages:
        for path in catalogues(package, language):
            with path.open("rb") as file:
                catalogue = gettext.GNUTranslations(file)._catalog
            for key, translation in catalogue.items():
                message, number = key if isinstance(key, tuple) else (key, 0)
                message = message.rpartition("\x04")[2]  # behind what it is the context of
                told = (message, translation)
                if number or not all(0 < len(one) <= longest for one in told):
                    continue
                if any(re.search(r"[<>\n]|http", one) for one in told):
                    continue
                pairs.setdefault(message.strip(), translation.strip())
    return list(pairs.items())


def sameness(message):
    """Return what messages that differ in case and punctuation alone have in common."""
    return " ".join(re.findall(r"\w+", message.lower()))
