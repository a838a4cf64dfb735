"""The proofs: none is missing or out of date, and the harness tells a good component from a faulty one."""

import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest
from amaranth.lib.wiring import Component, Out

import hw
from hw.boards.all import BOARDS
from hw.boards.parameters import BoardParameters
from hw.bridge.uart import BaudRate
from hw.formal.bench import Bench, streams
from hw.formal.proof import Proof
from hw.formal.proofs import PROOFS
from hw.formal.streams import COMPOSED
from hw.interrupt import InterruptThrottle
from hw.moderation import InterruptDelay
from hw.nic import Nic
from hw.transmit.checksum import TRANSMIT_SUM
from sim import formal
from sim.bitwuzla import commands
from sim.errors import RunFailedError, UserError
from sim.formal_reference import markdown

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formal.md"

BOARD, RATE = BOARDS["ecpix5"], BaudRate(baud=3e6)
ARGUMENTS = {
    "ThrottleGate": {"throttle": InterruptThrottle()},
    "InterruptController": {"throttle": InterruptThrottle()},
    "DelayTimer": {"restarts": True},
    "InterruptDelayTimers": {"rule": InterruptDelay()},
    "InternetChecksumProcessor": {"parameters": TRANSMIT_SUM},
    "DmaArbiter": {"clients": 2},
    "DescriptorWriteBack": {"status_byte": 12, "status_bytes": 1},
    "Eeprom": {"words": [0] * 64},
    "AxiNic": {"nic": Nic()},
    "BoardTop": {"board": BOARD, "parameters": BoardParameters()},
    "HostMemory": {"size": 64},
    "LinkTransmitter": {"build_id": bytes(8), "memory_kib": 64},
    "PhyMonitor": {"address": 0},
    "Pll": {"input_hz": 100e6, "output_hz": 125e6},
    "RgmiiPins": {"ports": BOARD.ports(BOARD.platform()).rgmii},
    "SerialBridge": {"rate": RATE, "build_id": bytes(8), "memory_kib": 64},
    "UartReceiver": {"rate": RATE},
    "UartTransmitter": {"rate": RATE},
}
"""Of components that cannot do without."""


def named(name: str) -> Proof:
    (proof,) = (proof for proof in PROOFS if proof.name == name)
    return proof


def components() -> dict[str, type[Component]]:
    """All components of the hardware, by module and name."""
    found = {}
    for item in pkgutil.walk_packages(hw.__path__, "hw."):
        if not item.name.startswith("hw.formal"):
            module = importlib.import_module(item.name)
            for name, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Component) and kind.__module__ == item.name:
                    found[f"{item.name}.{name}"] = kind
    return found


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == markdown(), "run: .venv/bin/python -m sim.formal_reference > docs/formal.md"


def test_every_stream_that_goes_out_of_a_component_is_proven() -> None:
    proven = {f"{proof.module}.{proof.name.split('.')[1]}" for proof in PROOFS if proof.name.startswith("streams.")}
    assert not proven & set(COMPOSED)
    with_streams = {
        path for path, kind in components().items() if list(streams(kind(**ARGUMENTS.get(kind.__name__, {})), flow=Out))
    }
    assert len(with_streams) > 15
    assert with_streams == proven | set(COMPOSED)


def test_names_are_unique() -> None:
    assert len({proof.name for proof in PROOFS}) == len(PROOFS)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.name)
def test_every_mutant_is_a_change_of_today_s_source(proof: Proof) -> None:
    assert proof.mutant.meaning
    good, faulty = proof.bench(), proof.bench(mutated=True)
    assert good.promises == faulty.promises
    assert good.rtlil() != faulty.rtlil()


def test_a_fault_that_cannot_be_placed_is_told() -> None:
    proof = named("interrupt.causes")
    wrong = dataclasses.replace(proof, mutant=dataclasses.replace(proof.mutant, old="no such text"))
    with pytest.raises(ValueError, match=r"'no such text' is 0 times in hw\.interrupt"):
        wrong.bench(mutated=True)


@pytest.mark.slow
def test_a_proof_holds_and_its_mutant_is_refuted() -> None:
    outcomes = formal.prove_all([named("interrupt.causes")])
    assert [outcome.result for outcome in outcomes] == ["holds", "refuted"]
    assert not formal.check(outcomes)
    by_name = {figure.name: figure for figure in formal.figures(outcomes, seconds=1.0)}
    assert by_name["formal.interrupt.causes"].ratio == by_name["formal.mutants"].ratio == 1
    assert by_name["formal.interrupt.causes"].conditions["promises"] == named("interrupt.causes").bench().promises


@pytest.mark.slow
def test_a_fault_in_the_hardware_is_told_with_its_trace() -> None:
    good = named("interrupt.since_last")
    faulty = dataclasses.replace(
        good, name="test.faulty", build=lambda module: good.bench(mutated=True), induction=False
    )
    outcome = formal.prove(dataclasses.replace(faulty, depth=40))
    assert outcome.result == "refuted"
    (message,) = formal.check([outcome])
    assert message == f"test.faulty: refuted, see {outcome.trace}"
    assert outcome.trace.suffix == ".vcd"
    assert "elapsed" in outcome.trace.read_text()


@pytest.mark.slow
def test_a_mutant_that_nothing_finds_is_told() -> None:
    proof = named("interrupt.causes")
    harmless = dataclasses.replace(proof.mutant, old="CAUSES = 17", new="CAUSES = 16 + 1")
    outcome = formal.refute(dataclasses.replace(proof, name="test.harmless", mutant=harmless))
    assert outcome.result == "holds"
    assert not outcome.good


@pytest.mark.slow
def test_what_is_true_by_chance_of_the_first_cycles_is_not_proven() -> None:
    def build(module: ModuleType) -> Bench:
        bench = Bench(module.InterruptThrottle().create())
        bench.promise(bench.inside("elapsed") != 100, "the counter is never 100")
        return bench

    outcome = formal.prove(dataclasses.replace(named("interrupt.since_last"), name="test.not_inductive", build=build))
    assert outcome.result == "not inductive"
    assert outcome.trace.name == "trace_induct.vcd"


def test_unknown_names_and_missing_tools_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no proof 'nonsense'; there are .*interrupt\.causes"):
        formal.select(["nonsense"])
    assert {proof.name for proof in formal.select(["moderation", "interrupt.causes"])} == {
        "moderation.delays",
        "interrupt.causes",
    }
    monkeypatch.setattr(formal, "_TOOLS", tmp_path)
    with pytest.raises(RunFailedError, match=r"^yowasp-sby, .* not installed; `make formal` installs what it needs$"):
        formal.prove(named("interrupt.causes"))


def test_commands_are_cut_where_they_end() -> None:
    script = ["; comment\n", "(a\n", " (b |x)(|)\n", ")\n", "(check-sat)\n", "\n", "(get-value (|y|))"]
    assert [item for item in commands(script) if item] == ["(a\n (b |x)(|)\n)", "(check-sat)", "(get-value (|y|))"]
