"""Tags are encoded as GS1's own examples are."""

import pytest

from device_sims.sgtin import sgtin96
from edge_agent.contract.gs1 import Sgtin, decode_epc


def test_the_example_of_the_standard() -> None:
    # GS1 EPC Tag Data Standard: urn:epc:id:sgtin:0614141.812345.6789, here with the point-of-sale filter.
    assert sgtin96("80614141123458", 6789) == "3034257BF7194E4000001A85"


@pytest.mark.parametrize("digits", range(6, 13))
def test_every_partition_decodes_to_what_was_encoded(digits: int) -> None:
    epc = sgtin96("16901234100010", (1 << 38) - 1, company_digits=digits)
    assert decode_epc(epc) == Sgtin("16901234100010", str((1 << 38) - 1))


def test_a_serial_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="38 bits"):
        sgtin96("16901234100010", 1 << 38)
