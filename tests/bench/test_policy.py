# SPDX-License-Identifier: Apache-2.0
"""One policy in two languages: both have every rule; masks cover what they say; cases name contestants that exist."""

import cases
import pytest
from policy import MANY_SOURCES, Policy, port_masks


@pytest.mark.parametrize("low, high", [(80, 80), (5000, 5999), (1, 65535), (0, 65535), (1024, 1025)])
def test_port_masks_cover_exactly_the_range(low, high):
    masks = port_masks(low, high)
    covered = [port for port in range(65536) if any(port & mask == value for value, mask in masks)]
    assert covered == list(range(low, high + 1))


def test_both_have_every_rule():
    policy = Policy(rule_count=1000)
    document = policy.sluice_document(True, lambda port: f"/{port}")
    rules = document["dfw"]["sections"][0]["rules"]
    assert len(rules) == 1001 and rules[-1]["name"] == "a-to-b"
    assert len([flow for flow in policy.openflow({"a": 1, "b": 2}) if "priority=60" in flow]) == 1000
    assert len({rule["source"][0] for rule in rules[:-1]}) == 1000


def test_another_generation_has_other_rules():
    policy = Policy(rule_count=10)
    assert not set(policy.openflow_rules(0)) & set(policy.openflow_rules(1))
    assert all(one != other for one, other in zip(policy.sluice_rules(0), policy.sluice_rules(1)))


def test_an_empty_chain_has_no_rule():
    document = Policy(rule_count=10).sluice_document(False, lambda port: f"/{port}")
    assert "acls" not in document and document["dfw"] == {"exclude": ["g"]}
    assert document["port_groups"][0]["spoofguard"] == "off"


def test_a_policy_that_seals_names_a_key():
    policies = Policy(seals="aes-128-gcm").sluice_document(True, lambda port: f"/s/{port}")["encryption"]["key_policies"]
    assert policies == [{"name": "k", "algorithm": "aes-128-gcm", "key_file": "/s/group.key"}]
    assert "encryption" not in Policy().sluice_document(True, lambda port: f"/s/{port}")


def test_many_sources_are_all_a_s_own():
    policy = Policy(has_many_sources=True)
    assert set(map(str, MANY_SOURCES)) < set(policy.source_addresses())
    assert policy.load_addresses("a") == "10.0.1.0-10.0.1.127"
    assert any(f"nw_src={MANY_SOURCES}" in flow for flow in policy.openflow({"a": 1, "b": 2}))


def test_cases():
    assert [case.name for case in cases.chosen(["1518", "flood-1"])] == ["flood-1", "1518"]
    with pytest.raises(ValueError, match="no case 'flood-2'"):
        cases.chosen(["flood-2"])
    for case in cases.ALL:
        assert set(case.contestants) <= set(cases.CONTESTANTS)
        assert set(case.own_arguments) <= set(case.contestants)
        assert all(target.other in case.contestants for target in case.targets)
