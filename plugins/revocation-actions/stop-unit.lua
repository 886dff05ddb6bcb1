-- SPDX-License-Identifier: Apache-2.0
-- Stops a systemd unit of this node when a node fails: a replication client, a mount, a tunnel.
--
-- Settings:  unit  its name;  systemctl  the program [/usr/bin/systemctl], to be named in action_exec;
--            agent  only when this agent id fails (optional)
-- Needs root: name it in privileged_actions. Stopping a unit that does not run changes nothing.
return {
  kind = "action",
  name = "stop-unit",
  summary = "stops a systemd unit",
  sites = { "agent", "privileged" },
  run = function(event)
    local s = event.settings
    local unit = assert(s.unit, "setting stop-unit.unit is missing")
    assert(unit:match("^[%w@:_.\\][%w@:_.\\-]*$"), "setting stop-unit.unit is no name of a unit")
    if s.agent and s.agent ~= event.agent_id then
      return
    end
    local run = ql.exec({ s.systemctl or "/usr/bin/systemctl", "stop", unit }, { timeout = 50 })
    assert(run.status == 0, "systemctl: " .. run.output)
    ql.log(unit .. " stopped because of " .. event.agent_id)
  end,
}
