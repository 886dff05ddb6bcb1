# SPDX-License-Identifier: Apache-2.0
"""The software TPM of a test: how it is started, and how one sees that it takes commands."""

import socket


def command(state, sock):
    """swtpm over Unix sockets `sock` (commands) and `sock`.ctrl; agents of any user may connect."""
    return ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear",
            "--server", f"type=unixio,path={sock},mode=0777", "--ctrl", f"type=unixio,path={sock}.ctrl,mode=0777"]


def listens(sock):
    """Whether both sockets take connections; that their files exist says less."""
    for path in (f"{sock}.ctrl", str(sock)):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                return False
    return True
