"""The page about queues has a table of parameters for each kind, and links that work."""

import re

from beam_patterns.transforms.queues import queue_kind, queue_schemes
from tests import ROOT

PAGE = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8")


def test_each_kind_with_parameters_has_a_table_of_them() -> None:
    documented = {queue_kind(scheme) for scheme in re.findall(r"^<!-- parameters of (\w+):// -->$", PAGE, flags=re.M)}
    assert documented == {kind for scheme in queue_schemes() if (kind := queue_kind(scheme)).parameters}
    for kind in documented:
        assert [
            f"| `{parameter.name}` | {parameter.help} |" for parameter in kind.parameters if parameter.help not in PAGE
        ] == []


def test_every_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", PAGE):
        assert (ROOT / "docs" / file).exists(), file
        assert file or anchor in headings, anchor
