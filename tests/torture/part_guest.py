# SPDX-License-Identifier: Apache-2.0
"""Hostile guests: every attack of the front-end on one port, while two other VMs time their frames to each other.

After each attack the daemon lives, the books balance and the port works again, at worst with a new guest. The victims'
times are given beside those of a quiet time before; a late frame is charged to the daemon only for what neither its
worker nor the one who measures waited for a core, and so is one that found the reader's ring full of the attacker's
broadcasts.
"""

import time

from hostile import Stage
from torture import percentile

STALL_MS = 10.0


def figures(torture, when, seen, bounded):
    took = [value / 1000 for value in seen["took_us"]]
    torture.figure(f"victims' frames, {when}", seen["frames"], at_least=100)
    torture.figure(f"victims' frames that found a full ring, {when}", seen["full"], exactly=0, timed=True)
    torture.figure(f"victims' losses beyond those, {when}", max(0, seen["lost"] - seen["full"]), exactly=0)
    torture.figure(f"victims' time p50, {when}", percentile(took, 50), "ms")
    torture.figure(f"victims' time p99, {when}", percentile(took, 99), "ms")
    torture.figure(f"victims' longest gap, {when}", max(took), "ms")
    torture.figure(f"victims' longest gap without waits for a core, {when}", seen["stalled_us"] / 1000, "ms",
                   at_most=STALL_MS if bounded else None)


def full_rings(stage):
    """Frames of the victims that were dropped since their receiver did not empty its ring."""
    return sum(stage.daemon.drops(name).get("tx_queue_full", 0) for name in ("vm1", "vm2"))


def together(parts):
    return {"frames": sum(part["frames"] for part in parts), "lost": sum(part["lost"] for part in parts),
            "took_us": [value for part in parts for value in part["took_us"]],
            "stalled_us": max(part["stalled_us"] for part in parts)}


def run(torture):
    seeds = [torture.random.randrange(1 << 32) for _ in range(torture.pick(short=1, long=25))]
    with Stage() as stage:
        sentences = stage.sentences()
        for name, sentence in sentences.items():
            print(f"   {name:32} {sentence}", flush=True)
        stage.victims()
        time.sleep(torture.pick(short=2.0, long=20.0))
        figures(torture, "quiet", {**stage.victims(), "full": full_rings(stage)}, bounded=False)
        seen, slow = [], []
        for name, seed in torture.progress([(name, seed) for seed in seeds for name in sentences], "attacks"):
            stage.attack(name, seed)
            seen.append(stage.victims())
            if seen[-1]["stalled_us"] > STALL_MS * 1000 or seen[-1]["lost"]:
                slow.append(f"{name} (seed {seed}): {seen[-1]['stalled_us'] / 1000} ms, {seen[-1]['lost']} lost")
        seen.append(stage.quiet())
        for text in slow:
            torture.say(f"felt by the victims: {text}")
        torture.figure("attacks known", len(sentences), at_least=60)
        torture.figure("seeds", len(seeds), at_least=1)
        torture.figure("attacks run", len(sentences) * len(seeds))
        torture.figure("deaths of the daemon", 0 if stage.daemon.alive else 1, exactly=0)
        figures(torture, "attacked", {**together(seen), "full": full_rings(stage)}, bounded=True)
        torture.figure("rings marked broken", stage.broken_rings, at_least=1)
        for how, count in stage.recoveries.items():
            torture.figure(f"port back by {how}", count)
