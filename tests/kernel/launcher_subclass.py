"""A kernel of somebody else's: a subclass in a module of its own, started as Sage starts its kernel."""

from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp


class SubclassKernel(IPythonKernel):
    implementation = "subclass"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # pyright: ignore[reportUnknownMemberType]
        shell: Any = self.shell
        shell.user_ns["made_by"] = "subclass"


if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=SubclassKernel)  # pyright: ignore[reportUnknownMemberType]
