"""How far the devices and goods of a simulated store are from ideal."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from device_sims.part import Part, Range, Share


class Noise(Part):
    """The defaults are sizes seen on real load cells and tags.

    Samples 0.12 to 0.19 g, settling 0.8 to 3.5 s with 0.4 to 40 g of swing: load steps of 1 to 5 kg bars at
    9 Hz. Temperature 1 to 2.5 g for 10 °C: data sheets. Creep: OIML R60-1 allows 4.9 g in 30 min at 20 kg.
    Tags are read with 0.11 to 0.63 a second, a tag always with its own; RSSI scatters by 2.2 dB at a place
    and by 3.7 dB between places.

    `vibration_g`: how far a fridge's compressor sways a plate, 20 to 60 s long, every 3 to 7 min. These times
    and 0.7 to 4 Hz (what the filter of the electronics lets through) are chosen, not measured.
    """

    sample_sd_g: Range = (0.12, 0.19)
    settling_s: Range = (0.8, 3.0)
    swing_g: Range = (0.4, 40.0)
    drift_g_per_sqrt_h: Annotated[float, Field(ge=0)] = 4.0
    creep_share: Annotated[float, Field(ge=0)] = 0.0002
    vibration_g: Annotated[float, Field(ge=0)] = 0.0
    temperature_g_per_10c: Range = (1.0, 2.5)
    temperature_swing_c: Annotated[float, Field(ge=0)] = 2.0
    unit_weight_cv: Annotated[float, Field(ge=0)] = 0.01
    unit_weight_bias: Annotated[float, Field(ge=0)] = 0.005
    tag_read_per_s: Range = (0.11, 0.63)
    rssi_sd_db: Annotated[float, Field(ge=0)] = 2.2
    cross_read_share: Share = 0.05
    neighbour_loss_db: Annotated[float, Field(ge=0)] = 9.0
    shadowing_db: Annotated[float, Field(ge=0)] = 3.7
