"""The Lua scripts of the ledger in Redis or Valkey; each takes effect as a whole."""

from blaxel_mcp.budget.shared.engine import NOW_LUA

_BOOKS = """
local function add(day, column, model, amount)
  if tonumber(amount) ~= 0 then redis.call('HINCRBY', day, column .. '|' .. model, amount) end
end
local function hold(day, model, tokens, nano, sign)
  add(day, 'reserved_calls', model, sign)
  add(day, 'reserved_tokens', model, sign * tokens)
  add(day, 'reserved_nano_usd', model, sign * nano)
end
local function lose(day, model, tokens, nano, sign)
  add(day, 'calls', model, sign)
  add(day, 'failed', model, sign)
  add(day, 'failed_maybe_billed', model, sign)
  add(day, 'held_tokens', model, sign * tokens)
  add(day, 'held_nano_usd', model, sign * nano)
end
"""

RESERVE = f"""{NOW_LUA}{_BOOKS}
local epoch_key, leases, key, day = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, owner, new_epoch, lease_ms, day_seconds = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local model, tokens, nano, caps = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), cjson.decode(ARGV[9])
redis.call('SET', epoch_key, new_epoch, 'NX')
local epoch, fields = redis.call('GET', epoch_key), redis.call('HGETALL', day)
if redis.call('EXISTS', key) == 1 then
  -- The same owner sends it twice when a connection broke before the answer.
  local mine = redis.call('HGET', key, 'owner') == owner and redis.call('HGET', key, 'state') == 'held'
  return {{mine and 'held' or 'repeated', epoch, fields}}
end
local columns = {{
  calls = {{'calls', 'reserved_calls'}},
  tokens = {{'total_tokens', 'held_tokens', 'reserved_tokens'}},
  nano_usd = {{'nano_usd', 'held_nano_usd', 'reserved_nano_usd'}},
}}
local function used(figure, of_model)
  local sum = 0
  for index = 1, #fields, 2 do
    local column, its_model = string.match(fields[index], '^([^|]*)|(.*)$')
    for _, counted in ipairs(columns[figure]) do
      if column == counted and (not of_model or its_model == model) then sum = sum + fields[index + 1] end
    end
  end
  return sum
end
local needed = {{calls = 1, tokens = tokens, nano_usd = nano}}
for _, cap in ipairs(caps) do
  if used(cap.figure, cap.of_model) + needed[cap.figure] > cap.limit then return {{'refused', epoch, fields}} end
end
hold(day, model, tokens, nano, 1)
redis.call('EXPIRE', day, day_seconds)
redis.call('HSET', key, 'state', 'held', 'owner', owner, 'day', day, 'model', model, 'tokens', tokens, 'nano', nano)
redis.call('EXPIRE', key, day_seconds)
redis.call('ZADD', leases, now + lease_ms, id)
return {{'held', epoch, fields}}
"""
"""Reserves a call if all caps allow it; returns `held`, `repeated` or `refused`, the epoch, and the day's figures."""

SETTLE = f"""{_BOOKS}
local leases, key, day = KEYS[1], KEYS[2], KEYS[3]
local id, model, settled_seconds, day_seconds, was_sent = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local client, all_tokens, all_nano = ARGV[6], ARGV[7], ARGV[8]
local record = redis.call('HMGET', key, 'state', 'tokens', 'nano')
local state, tokens, nano = record[1], tonumber(record[2]), tonumber(record[3])
if state ~= 'settled' then
  -- Without a state, the engine was emptied after the call was reserved.
  if state == 'held' then hold(day, model, tokens, nano, -1) end
  if state == 'lost' then lose(day, model, tokens, nano, -1) end
  if was_sent == '1' then
    for index = 9, #ARGV, 2 do add(day, ARGV[index], model, ARGV[index + 1]) end
    for index = 4, #KEYS do
      add(KEYS[index], 'calls', client, 1)
      add(KEYS[index], 'tokens', client, all_tokens)
      add(KEYS[index], 'nano_usd', client, all_nano)
      redis.call('EXPIRE', KEYS[index], day_seconds)
    end
  end
  redis.call('EXPIRE', day, day_seconds)
  redis.call('HSET', key, 'state', 'settled')
  redis.call('EXPIRE', key, settled_seconds)
  redis.call('ZREM', leases, id)
end
return redis.call('HGETALL', day)
"""
"""Replaces a reservation by the usage of its call, and returns the day's figures."""

SWEEP = f"""{NOW_LUA}{_BOOKS}
local expired = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(expired) do
  local key = ARGV[1] .. id
  local record = redis.call('HMGET', key, 'state', 'day', 'model', 'tokens', 'nano')
  if record[1] == 'held' then
    hold(record[2], record[3], tonumber(record[4]), tonumber(record[5]), -1)
    lose(record[2], record[3], tonumber(record[4]), tonumber(record[5]), 1)
    redis.call('HSET', key, 'state', 'lost')
  end
  redis.call('ZREM', KEYS[1], id)
end
return #expired
"""
"""Books expired reservations as lost calls, by their estimates, and returns their number."""

BEAT = f"""{NOW_LUA}
for index = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[index]) end
"""
"""Renews the leases of running calls."""
