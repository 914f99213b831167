"""`python -m validators.data.profile REQUEST.json PROPOSAL.json`: propose a suite for a dataset.

Exits with 0 if a proposal was written, or why there is none; if not, prints why in one line.
"""

import logging
import sys
import warnings
from pathlib import Path

from validators.data.profile.propose import propose
from validators.data.profile.request import ProfileRequest, SuiteProposal


def main(arguments: list[str]) -> int:
    """Read the request, write the proposal."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m validators.data.profile REQUEST.json PROPOSAL.json\n")
        return 2
    source, target = (Path(argument) for argument in arguments)
    # Logs and warnings of libraries may quote the data.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    request = ProfileRequest.model_validate_json(source.read_bytes())
    target.write_text(_proposal(request).model_dump_json(), encoding="utf-8")
    return 0


def _proposal(request: ProfileRequest) -> SuiteProposal:
    try:
        return propose(request)
    except MemoryError:
        return SuiteProposal(problems=("it needs more memory than there is: name fewer files",))
    except Exception as error:  # its message may quote the data
        kind = type(error).__name__
        return SuiteProposal(problems=(f"internal error while the data was read ({kind})",))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
