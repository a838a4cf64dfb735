"""The table of malformed frames: it is what the documentation says, and what the golden functions say."""

import pytest

from hw.receive.address_table import TABLE_ENTRIES
from hw.receive.filter import FilterSettings
from hw.receive.layouts import ReceiveControl
from tests.hw.malformed import FCT, FLOW_CONTROL, ROWS, VET, Row, document
from tests.hw.nic_bench import OWN
from tests.hw.receive_model import has_good_fcs, outcome
from tests.hw.simulate import REPOSITORY


def test_document() -> None:
    assert (REPOSITORY / "docs" / "malformed-frames.md").read_text() == document()


def test_names_differ() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("sbp", [0, 1])
@pytest.mark.parametrize("row", [row for row in ROWS if row.counters is not None], ids=lambda row: row.name)
def test_golden(row: Row, sbp: int) -> None:
    rctl = dict.fromkeys((name for name, _ in ReceiveControl), 0) | {"en": 1, "bam": 1, "sbp": sbp}
    got = outcome(
        row.whole,
        crc_error=not has_good_fcs(row.whole),
        rx_error=row.error_at is not None,
        settings=FilterSettings(
            rctl=rctl,
            table=[(OWN, 0, True)] + [(bytes(6), 0, False)] * (TABLE_ENTRIES - 1),
            vet=VET,
            rfce=True,
            fct=FCT,
            fca=FLOW_CONTROL,
        ),
        rxcsum={"pcss": 0, "ipofl": 1, "tuofl": 1},
        vme=True,
    )
    wanted = row.with_sbp if sbp else row.stored
    assert (got.dropped is None) == (wanted is not None)
    if wanted is not None:
        shown = {name for name in ("ixsm", "ipcs", "ipe", "tcpcs", "tcpe", "ce", "rxe", "vp", "pif") if got.info[name]}
        assert shown == set(wanted.lower().split())
    good = {name for name in got.counts if name.startswith("PRC") or name == "GORC"}
    assert set(got.counts) - good == {"TPR", "TOR"} | set((row.counters or "").split())
