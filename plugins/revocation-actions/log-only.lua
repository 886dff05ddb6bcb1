-- SPDX-License-Identifier: Apache-2.0
-- Writes one line to the agent's log for each node that fails, and does nothing else.
return {
  kind = "action",
  name = "log-only",
  summary = "one log line for each node that fails",
  sites = { "agent", "verifier", "privileged" },
  run = function(event)
    ql.log(event.type .. ": node " .. event.agent_id .. " at " .. event.agent_address .. " failed with " ..
      event.event_id .. " (" .. event.severity .. ")")
  end,
}
