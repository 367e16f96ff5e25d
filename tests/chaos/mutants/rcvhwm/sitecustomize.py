"""The host takes 1,000 messages and no more before it is ready for them."""

from tests.chaos.mutants.high_water_marks import of_host
from tests.chaos.mutants.hook import after_import

after_import("kernel_bridge.kernel_channels", of_host)
