# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The language server answers, and knows the attn dialect."""

import json
import os
import subprocess
from pathlib import Path

SERVER = Path(os.environ["ATTN_BUILD_DIR"]) / "bin" / "attn-lsp-server"

DOCUMENT = """func.func @f(%q: tensor<1x4x2x8xf32>, %k: tensor<1x3x2x8xf32>) {
  %o = attn.attention %q, %k, %k : tensor<1x4x2x8xf32>, tensor<1x3x2x8xf32>,
    tensor<1x3x2x8xf32> -> tensor<1x4x2x8xf32>
  return
}
"""


def frame(**message):
    body = json.dumps({"jsonrpc": "2.0", **message})
    return f"Content-Length: {len(body)}\r\n\r\n{body}"


def answers(text):
    """The messages of the server's whole output."""
    while text:
        head, _, rest = text.partition(b"\r\n\r\n")
        size = int(head.split(b"Content-Length:")[1].split()[0])
        yield json.loads(rest[:size])
        text = rest[size:].lstrip()


def test_reports_the_verifier_error_of_a_document():
    uri = "file:///example.mlir"
    document = {"uri": uri, "languageId": "mlir", "version": 1, "text": DOCUMENT}
    conversation = (
        frame(id=0, method="initialize", params={"processId": None, "rootUri": None, "capabilities": {}})
        + frame(method="initialized", params={})
        + frame(method="textDocument/didOpen", params={"textDocument": document})
        + frame(id=1, method="shutdown")
        + frame(method="exit")
    )
    done = subprocess.run([SERVER], input=conversation.encode(), capture_output=True, timeout=60)
    messages = list(answers(done.stdout))
    assert "hoverProvider" in json.dumps(messages[0]["result"]["capabilities"])
    found = [m["params"] for m in messages if m.get("method") == "textDocument/publishDiagnostics"]
    text = json.dumps(found)
    assert uri in text
    assert "kv_heads to divide heads" in text, text
