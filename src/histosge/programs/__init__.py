"""Gene programs: directions of expression learnt from other data, without image or positions.

::

    import histosge as hs

    programs = hs.programs.build(["patient_1.h5ad", "patient_2.h5ad"], licence="CC BY 4.0")
    hs.programs.write(programs, "breast.programs.h5")
    hs.run(section, programs="breast.programs.h5", out="results")
"""

from __future__ import annotations

from .build import build
from .file import read_programs as read
from .file import write_programs as write
from .gene_programs import Programs, ProgramSource

__all__ = ["ProgramSource", "Programs", "build", "read", "write"]
