-- SPDX-License-Identifier: Apache-2.0
-- A validator to begin with: certain lines must be in the evidence "sample", the text of a file of the node.
-- The policy is JSON: {"require": ["a line", "another line"]}.

local LINES_MAX = 1000 -- lines that a policy may require

local function prepare(policy)
  local object = ql.json.decode(policy)
  if type(object) ~= "table" or type(object.require) ~= "table" or #object.require > LINES_MAX then
    error(('wanted {"require": [...]} with at most %d lines'):format(LINES_MAX), 0)
  end
  local wanted = {}
  for i, line in ipairs(object.require) do
    if type(line) ~= "string" then
      error(("require: item %d is not a text"):format(i), 0)
    end
    wanted[i] = line
  end
  return { wanted = wanted }
end

local function needs()
  return { evidence = { { name = "sample", bound = "nonce" } } }
end

local function validate(attest, object)
  local seen = {}
  for line in attest.lines("sample") do
    seen[line] = true
  end
  for _, line in ipairs(object.wanted) do
    if not seen[line] then
      ql.fail({ event = "linewatch.missing_line", recoverable = true, context = { missing = line } })
    end
  end
end

return {
  kind = "validator",
  name = "linewatch",
  version = "1.0",
  license = "Apache-2.0",
  summary = "wants lines in a file of the node",
  prepare = prepare,
  needs = needs,
  validate = validate,
}
