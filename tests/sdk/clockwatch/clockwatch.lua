-- SPDX-License-Identifier: Apache-2.0
-- Watches the TPM's clock: it must not run backwards while the node stays up, and the node may restart only so often.
-- Policy: {"max_resets": N}, resets since the first attestation.

local function prepare(policy)
  local object = ql.json.decode(policy)
  if type(object) ~= "table" or math.type(object.max_resets) ~= "integer" or object.max_resets < 0 then
    error('wanted {"max_resets": N}', 0)
  end
  for key in pairs(object) do
    if key ~= "max_resets" then
      error("unknown member " .. key, 0)
    end
  end
  return object
end

local function needs()
  return {}
end

local function validate(attest, object, state)
  local first = state and state.first_reset or attest.reset_count
  if state and state.reset == attest.reset_count and attest.clock < state.clock then
    ql.fail({ event = "clockwatch.backwards", context = { was = state.clock, is = attest.clock } })
  end
  if attest.reset_count - first > object.max_resets then
    ql.fail({ event = "clockwatch.resets", context = { resets = attest.reset_count - first, allowed = object.max_resets } })
  end
  ql.fact("resets", attest.reset_count - first)
  return { first_reset = first, reset = attest.reset_count, clock = attest.clock }
end

return {
  kind = "validator",
  name = "clockwatch",
  version = "1.0",
  license = "Apache-2.0",
  summary = "watches the TPM's clock and resets",
  prepare = prepare,
  needs = needs,
  validate = validate,
}
