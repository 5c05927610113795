# SPDX-License-Identifier: Apache-2.0
"""`sluice rule check` on a running daemon: what it finds, that hits silence it, and that it answers for many rules."""

import re

import pytest
from scene import Scene


@pytest.fixture(name="scene", scope="module")
def _scene():
    with Scene() as scene:
        yield scene


def rule(name, **keys):
    return {"name": name, **keys}


def found(scene, *arguments):
    """{rule: (finding, by)}."""
    return {row["rule"]: (row["finding"], row["by"]) for row in scene.daemon.cli("rule", "check", *arguments)}


def apply_rules(scene, rules, **nouns):
    scene.fresh(dfw={"default": "drop", "sections": [{"name": "app", "rules": rules}]}, **nouns)


def test_finds_what_does_nothing(scene):
    apply_rules(scene, [rule("wide", source=["10.0.0.0/8"], services=["tcp"]),
                        rule("inside", source=["10.1.0.0/16"], services=["tcp/80"], action="drop"),
                        rule("nobody", source=["empty"])],
                address_sets=[{"name": "empty", "members": []}],
                acls=[{"name": "hard", "rules": [rule("a", action="permit"), rule("b", action="deny", services=["tcp/23"])]}])
    assert found(scene, "app") == {"wide": ("never_hit", []), "inside": ("shadowed", ["app/wide"]),
                                   "nobody": ("never_matches", [])}
    assert found(scene, "app/inside") == {"inside": ("shadowed", ["app/wide"])}
    assert found(scene)["b"] == ("shadowed", ["acl hard/a"])


def test_a_hit_rule_is_no_finding(scene):
    apply_rules(scene, [rule("talk", services=["udp/2000"]), rule("silent", services=["udp/2001"])])
    rows = {row["rule"]: row for row in scene.daemon.cli("rule", "check")}
    assert set(rows) == {"talk", "silent"}
    assert re.fullmatch(r"no hit since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows["silent"]["detail"])
    scene.passes(scene.udp("vm1", "vm2"), "vm1", "vm2")
    assert set(found(scene)) == {"silent"}


def test_unknown_names_are_refused(scene):
    apply_rules(scene, [rule("only")])
    for name in ("nowhere", "app/nobody"):
        assert name in scene.daemon.cli_error("rule", "check", name).error["message"]


def test_many_rules_and_changes_meanwhile(scene):
    rules = [rule(f"r{i}", source=[f"172.16.{i // 256}.{i % 256}"], services=[f"tcp/{1 + i % 1000}"]) for i in range(5000)]
    rules.append(rule("late", source=["172.16.3.7"], services=["tcp/776"], action="drop"))
    apply_rules(scene, rules)
    assert found(scene)["late"] == ("shadowed", ["app/r775"])
    scene.daemon.cli("rule", "set", "app/r775", "services=tcp/9")
    assert found(scene)["late"] == ("never_hit", [])
    scene.daemon.cli("rule", "set", "app/late", "source=172.16.3.8", "--first")
    assert [row["name"] for row in scene.daemon.cli("show", "rules")][:2] == ["late", "r0"]
    scene.daemon.cli("rule", "del", "app/late")
    exported = scene.daemon.cli("export")
    assert [one["name"] for one in exported["dfw"]["sections"][0]["rules"]] == [f"r{i}" for i in range(5000)]
