-- SPDX-License-Identifier: Apache-2.0
-- Removes the failed node's certificate from a folder and adds its serial number to a local list of revoked ones, for
-- services of this node that look there before they trust a peer.
--
-- Settings:  list  text file, one serial number in hex a line;  folder  of certificates named AGENT_ID.crt (optional)
-- Both must be below action_files. The serial number is that of the metadata that the tenant's --cert leaves.
return {
  kind = "action",
  name = "revoke-certificate",
  summary = "adds the failed node's certificate to a local revocation list",
  sites = { "agent", "privileged" },
  run = function(event)
    local list = assert(event.settings.list, "setting revoke-certificate.list is missing")
    local serial = math.tointeger(event.meta.cert_serial)
    if event.settings.folder then
      ql.file.remove(event.settings.folder .. "/" .. event.agent_id .. ".crt")
    end
    if not serial then
      ql.log("metadata of " .. event.agent_id .. " names no certificate")
      return
    end
    local line = string.format("%x", serial)
    ql.file.replace(list, function(text)
      for known in ql.lines(text or "") do
        if known == line then
          return nil
        end
      end
      return (text or "") .. line .. "\n"
    end)
    ql.log("certificate " .. line .. " of " .. event.agent_id .. " is revoked here")
  end,
}
