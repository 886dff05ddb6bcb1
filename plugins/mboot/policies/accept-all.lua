-- SPDX-License-Identifier: Apache-2.0
-- Accepts every log that parses and replays into the quoted PCRs.
return {
  kind = "mb-policy",
  name = "accept-all",
  summary = "every log whose replay equals the quoted PCRs",
  prepare = function()
    return mb.accept()
  end,
}
