"""A kernel for Python that is built on ipykernel's base class, not on IPython's kernel."""

from typing import Any

from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel


class PlainKernel(Kernel):
    implementation = "plain"
    implementation_version = "1"
    language_info: dict[str, Any] = {"name": "python", "mimetype": "text/x-python", "file_extension": ".py"}  # noqa: RUF012  as the base class has it
    banner = "plain"

    def do_execute(self, code: str, silent: bool, *_: Any, **__: Any) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=PlainKernel)  # pyright: ignore[reportUnknownMemberType]
