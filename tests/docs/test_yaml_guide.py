"""The guide to YAML pipelines and its examples do what they say."""

import json
import re
from pathlib import Path

import pytest
from apache_beam.yaml import main

from tests import ROOT
from tests.docs.test_readme import shell

GUIDE = (ROOT / "docs" / "yaml.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, flags=re.M | re.S)
EXAMPLES = ROOT / "examples" / "yaml"


@pytest.mark.integration
def test_the_guide_can_be_followed_from_its_first_block_to_its_last(tmp_path: Path) -> None:
    listing, flow, commands = BLOCKS
    assert [listing[0], flow[0], commands[0]] == ["bash", "yaml", "bash"]
    shell(listing[1], tmp_path)
    (tmp_path / "flow.yaml").write_text(flow[1])
    assert shell(commands[1], tmp_path).endswith('\n{"id": 1, "shipped": true, "tell": "email"}\n')
    (dead,) = (tmp_path / "dead_letters.jsonl").read_text().splitlines()
    letter = json.loads(dead)
    assert (letter["payload"], letter["step"]) == ('{"id": 3, "shipped":', "Shipped")
    told = re.search(r"rows of (payload, [^.]*)\.", GUIDE)
    assert told and re.split(r",\s+|\s+and\s+", told[1]) == list(letter)


def test_the_guide_shows_the_example_as_it_is() -> None:
    shipping = (EXAMPLES / "shipping.yaml").read_text().replace("../../templates/providers", "providers")
    assert re.sub(r"^#.*\n", "", shipping, flags=re.M) == BLOCKS[1][1]


@pytest.mark.integration
def test_sales_are_added_up_and_labelled_each_order_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fork_server: None
) -> None:
    monkeypatch.chdir(tmp_path)
    sales = [(1, "north", 1099), (2, "south", 500), (1, "north", 1099), (3, "north", 1)]
    lines = [json.dumps({"id": i, "region": region, "cents": cents}) for i, region, cents in sales]
    Path("sales.jsonl").write_text("\n".join([*lines, '{"id": 4, "region": "north"}']))
    main.run(["--runner=FnApiRunner", f"--yaml_pipeline_file={EXAMPLES}/sales.yaml"])
    (regions,) = tmp_path.glob("regions.csv*")
    first, *rest = regions.read_text().splitlines()
    assert (first, sorted(rest)) == ("region,cents,orders,euros", ["north,1100,2,11.00", "south,500,1,5.00"])
    labels = sorted(Path("labels.jsonl").read_text().splitlines())
    assert labels == ["order 1 for the north", "order 2 for the south", "order 3 for the north"]
    (letter,) = map(json.loads, Path("dead_letters.jsonl").read_text().splitlines())
    assert (letter["payload"], letter["step"]) == ('{"id": 4, "region": "north"}', "Sales")


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
