"""The host takes 1,000 messages before it is ready for them, and the kernel keeps 1,000 more."""

from tests.chaos.mutants.high_water_marks import of_host, of_kernel
from tests.chaos.mutants.hook import after_import

after_import("kernel_bridge.kernel_channels", of_host)
after_import("ipykernel.kernelapp", of_kernel)
