-- One batch: every step of it, or none. `redis.rs` says which keys there are, `call.rs` what comes in and goes out.
--
-- Amounts are at most 9e15, so a Lua number holds them exactly; sums are changed with HINCRBY, which counts in 64 bits.

local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end
local function number()
  return tonumber(take())
end
local function whole(n)
  return string.format('%.0f', n)
end

local VERSION = 1
local KEPT = 90 * 24 * 60 * 60
local SWEPT = 64

local tag = KEYS[1]:match('^(.*):meta$')
local meta, live, batches, due = KEYS[1], tag .. ':live', tag .. ':batches', tag .. ':due'
local expected, process, batch, lease, proposal, anew = take(), take(), number(), number(), take(), take()
local mine = tag .. ':r:' .. process
local restoring = proposal ~= ''

local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds * 1000 + math.floor(tonumber(time[2]) / 1000)

local version, incarnation, frozen = unpack(redis.call('HMGET', meta, 'version', 'incarnation', 'frozen_until'))
if version and tonumber(version) > VERSION then
  return {'newer', version}
end
if restoring then
  if not incarnation or (anew == '1' and incarnation == expected) then
    incarnation, frozen = proposal, whole(now + lease)
    redis.call('HSET', meta, 'version', VERSION, 'incarnation', incarnation, 'frozen_until', frozen)
  end
elseif incarnation ~= expected then
  return {'lost'}
end

-- A batch that its process has given up, and that was delayed on the way, must not come after what it has sent since.
local last = redis.call('HGET', batches, process)
if last and tonumber(last) > batch then
  return {'stale'}
end
redis.call('HSET', batches, process, whole(batch))
redis.call('ZADD', live, whole(now + lease), process)

local left = math.max(0, tonumber(frozen or 0) - now)
if left > 0 and not restoring then
  return {'frozen', whole(left)}
end

-- Rows ------------------------------------------------------------------------------------------------------------

local touched, seen = {}, {}
local function touch(account, bucket)
  local row = bucket .. ' ' .. account
  if not seen[row] then
    seen[row] = true
    touched[#touched + 1] = {account, bucket}
  end
end

local function add(account, bucket, field, amount)
  if amount ~= '0' and amount ~= '-0' then
    -- Sums stop where 64 bits do, long before anybody has spent so much.
    redis.pcall('HINCRBY', tag .. ':a:' .. account, bucket .. ':' .. field, amount)
  end
end

-- An account is `<length of the name>:<name>:<id>`.
local function split(account)
  local length = account:match('^(%d+):')
  local first = #length + 2
  return account:sub(first, first + length - 1), account:sub(first + length + 1)
end

local function make_row(account, bucket, till)
  if redis.call('ZADD', tag .. ':b:' .. account, bucket, bucket) == 1 then
    local name, id = split(account)
    redis.call('HSET', tag .. ':a:' .. account, bucket .. ':until', till)
    redis.call('SADD', tag .. ':n:' .. name, id)
    if till ~= '' then
      redis.call('ZADD', due, 'NX', whole(tonumber(till) + KEPT), account)
    end
  end
end

local function rows_of(account, since)
  local buckets = redis.call('ZRANGEBYSCORE', tag .. ':b:' .. account, since, '+inf')
  if #buckets == 0 then
    return {}
  end
  local fields = {}
  for _, bucket in ipairs(buckets) do
    fields[#fields + 1] = bucket .. ':spent'
    fields[#fields + 1] = bucket .. ':reserved'
    fields[#fields + 1] = bucket .. ':overrun'
  end
  local values = redis.call('HMGET', tag .. ':a:' .. account, unpack(fields))
  local rows = {}
  for i, bucket in ipairs(buckets) do
    local field = function(n)
      return math.max(0, tonumber(values[3 * (i - 1) + n] or 0))
    end
    rows[i] = {bucket = bucket, spent = field(1), reserved = field(2), overrun = field(3)}
  end
  return rows
end

-- What is booked, and the oldest bucket that takes room.
local function booked(account, since)
  local sum, oldest = 0, nil
  for _, row in ipairs(rows_of(account, since)) do
    local amount = row.spent + row.reserved
    sum = sum + amount
    if amount > 0 and not oldest then
      oldest = tonumber(row.bucket)
    end
  end
  return sum, oldest
end

-- Reservations: charge, held of three currencies, exceeded, and for each leg account, bucket, until, currency ----------

local LEGS = 6

local function take_record()
  local record = {take(), take(), take(), take(), take()}
  for _ = 1, 4 * number() do
    record[#record + 1] = take()
  end
  return record
end

local function hold(record, sign)
  for i = LEGS, #record, 4 do
    local account, bucket, held = record[i], record[i + 1], record[1 + record[i + 3]]
    add(account, bucket, 'reserved', sign .. held)
    touch(account, bucket)
  end
end

local function open(id, record)
  redis.call('HSET', mine, id, cmsgpack.pack(record))
  for i = LEGS, #record, 4 do
    make_row(record[i], record[i + 1], record[i + 2])
  end
  hold(record, '')
end

local function close(record, spent, over)
  hold(record, '-')
  for i = LEGS, #record, 4 do
    local account, bucket, currency = record[i], record[i + 1], tonumber(record[i + 3])
    add(account, bucket, 'spent', spent[currency])
    add(account, bucket, 'overrun', over[currency])
  end
end

local NOTHING = {'0', '0', '0'}

local function find(id)
  local record = redis.call('HGET', mine, id)
  return record and cmsgpack.unpack(record)
end

-- Settles up to `most` of what a process holds as each says it is to be if it is lost. How many there were.
local function lose(whose, most)
  local key = tag .. ':r:' .. whose
  local lost = redis.call('HRANDFIELD', key, most, 'WITHVALUES')
  for i = 1, #lost, 2 do
    local record = cmsgpack.unpack(lost[i + 1])
    local spent = record[1] == '1' and {record[2], record[3], record[4]} or NOTHING
    close(record, spent, NOTHING)
    redis.call('HDEL', key, lost[i])
  end
  if redis.call('HLEN', key) == 0 then
    redis.call('ZREM', live, whose)
    redis.call('HDEL', batches, whose)
  end
  return #lost / 2
end

-- Takes out the rows of one account that have not counted for long.
local function forget()
  local account = redis.call('ZRANGEBYSCORE', due, '-inf', whole(seconds), 'LIMIT', 0, 1)[1]
  if not account then
    return
  end
  local buckets, hash = tag .. ':b:' .. account, tag .. ':a:' .. account
  local again
  for _, bucket in ipairs(redis.call('ZRANGE', buckets, 0, SWEPT)) do
    local till, reserved = unpack(redis.call('HMGET', hash, bucket .. ':until', bucket .. ':reserved'))
    local gone = till and till ~= '' and tonumber(till) + KEPT
    if not gone then
      break
    elseif gone > seconds then
      again = gone
      break
    elseif tonumber(reserved or 0) > 0 then
      again = seconds + KEPT
      break
    end
    redis.call('ZREM', buckets, bucket)
    for _, field in ipairs({':spent', ':reserved', ':overrun', ':until'}) do
      redis.call('HDEL', hash, bucket .. field)
    end
    again = seconds
  end
  if redis.call('ZCARD', buckets) == 0 then
    local name, id = split(account)
    redis.call('SREM', tag .. ':n:' .. name, id)
    again = nil
  end
  if again then
    redis.call('ZADD', due, whole(again), account)
  else
    redis.call('ZREM', due, account)
  end
end

-- Steps -----------------------------------------------------------------------------------------------------------

local steps = {}

local function rest(rooms, granted)
  local least = {'', '', ''}
  for _, room in ipairs(rooms) do
    local currency, amount = room[1], room[2] - granted[room[1]]
    if least[currency] == '' or amount < tonumber(least[currency]) then
      least[currency] = whole(amount)
    end
  end
  return least
end

-- Holds what there is room for, in place of what another holds. An allotment is drawn only if there is `times` as much.
function steps.reserve()
  local id, old, charge, times = take(), take(), take(), number()
  local granted, least = {number(), number(), number()}, {number(), number(), number()}
  local needed = least
  if times > 0 then
    needed = {granted[1] * times, granted[2] * times, granted[3] * times}
  end
  local legs = {}
  for i = 1, number() do
    legs[i] = {
      account = take(), bucket = take(), till = take(), currency = number(),
      since = take(), window = take(), hard = take() == '1', limit = number(),
    }
  end
  local known = find(id)
  if known then
    return {'held', known[2], known[3], known[4], known[5], '', '', ''}
  end
  local before = old ~= '' and find(old)
  if before then
    hold(before, '-')
  end
  local refused, rooms = nil, {}
  for i, leg in ipairs(legs) do
    local sum, oldest = booked(leg.account, leg.since)
    local currency = leg.currency
    leg.room = math.max(0, leg.limit - sum)
    if leg.hard then
      rooms[#rooms + 1] = {currency, leg.room}
      granted[currency] = math.min(granted[currency], leg.room)
      if leg.room < needed[currency] then
        oldest = oldest or tonumber(leg.bucket)
        local frees = leg.window == '' and math.huge or oldest + tonumber(leg.window)
        if not refused or frees == math.huge or refused.frees < frees then
          refused = {leg = i, room = leg.room, oldest = oldest, frees = frees}
        end
      end
    end
  end
  if refused then
    if before then
      hold(before, '')
    end
    return {'refused', whole(refused.leg), whole(refused.room), whole(refused.oldest)}
  end
  local exceeded = {}
  for i, leg in ipairs(legs) do
    if not leg.hard and leg.room < granted[leg.currency] then
      exceeded[#exceeded + 1] = i - 1
    end
  end
  local record = {charge, whole(granted[1]), whole(granted[2]), whole(granted[3]), table.concat(exceeded, ' ')}
  for _, leg in ipairs(legs) do
    record[#record + 1] = leg.account
    record[#record + 1] = leg.bucket
    record[#record + 1] = leg.till
    record[#record + 1] = whole(leg.currency)
  end
  open(id, record)
  if before then
    redis.call('HDEL', mine, old)
  end
  return {'held', record[2], record[3], record[4], record[5], unpack(rest(rooms, granted))}
end

function steps.settle()
  local id = take()
  local spent, over = {take(), take(), take()}, {take(), take(), take()}
  local record = find(id)
  if record then
    close(record, spent, over)
    redis.call('HDEL', mine, id)
  end
  return 0
end

-- Nobody knows whether `id` was booked: now it is not, and what it was to replace holds again what it held.
function steps.undo()
  local id, old = take(), take()
  local before = old ~= '' and take_record()
  local record = find(id)
  if record then
    close(record, NOTHING, NOTHING)
    redis.call('HDEL', mine, id)
  end
  if before and not find(old) then
    open(old, before)
  end
  return 0
end

-- What there is left for an allotment's legs.
function steps.room()
  local rooms = {}
  for i = 1, number() do
    local account, currency, since, limit = take(), number(), take(), number()
    rooms[i] = {currency, math.max(0, limit - booked(account, since))}
  end
  return rest(rooms, {0, 0, 0})
end

local function balance(ids, name, since)
  local found = {}
  for _, id in ipairs(ids) do
    local rows = rows_of(#name .. ':' .. name .. ':' .. id, since)
    if #rows > 0 then
      local spent, reserved, overrun = 0, 0, 0
      for _, row in ipairs(rows) do
        spent, reserved, overrun = spent + row.spent, reserved + row.reserved, overrun + row.overrun
      end
      for _, value in ipairs({id, whole(spent), whole(reserved), whole(overrun)}) do
        found[#found + 1] = value
      end
    end
  end
  return found
end

function steps.balance()
  local name, since, id = take(), take(), take()
  return {'0', balance({id}, name, since)}
end

-- A page of a budget's accounts.
function steps.balances()
  local name, since, cursor = take(), take(), take()
  local page = redis.call('SSCAN', tag .. ':n:' .. name, cursor, 'COUNT', 256)
  return {page[1], balance(page[2], name, since)}
end

-- A row as somebody has seen it.
function steps.known()
  local account, bucket, till, spent, overrun = take(), take(), take(), take(), take()
  make_row(account, bucket, till)
  local hash = tag .. ':a:' .. account
  for field, amount in pairs({[':spent'] = spent, [':overrun'] = overrun}) do
    if tonumber(redis.call('HGET', hash, bucket .. field) or 0) < tonumber(amount) then
      redis.call('HSET', hash, bucket .. field, amount)
    end
  end
  touch(account, bucket)
  return 0
end

function steps.open()
  local id, record = take(), take_record()
  if not find(id) then
    open(id, record)
  end
  return 0
end

-- These are all that the process holds.
function steps.only()
  local ids = {}
  for _ = 1, number() do
    ids[take()] = true
  end
  for _, id in ipairs(redis.call('HKEYS', mine)) do
    if not ids[id] then
      close(find(id), NOTHING, NOTHING)
      redis.call('HDEL', mine, id)
    end
  end
  return 0
end

-- The process ends. What it still holds is lost.
function steps.leave()
  return lose(process, math.max(1, redis.call('HLEN', mine)))
end

local answers = {}
while at < #ARGV do
  answers[#answers + 1] = steps[take()]()
end

local recovered = 0
if not restoring then
  local dead = redis.call('ZRANGEBYSCORE', live, '-inf', '(' .. whole(now), 'LIMIT', 0, 1)[1]
  if dead then
    recovered = lose(dead, SWEPT)
  end
  forget()
end

local rows = {}
for _, row in ipairs(touched) do
  local account, bucket = row[1], row[2]
  local values = redis.call('HMGET', tag .. ':a:' .. account, bucket .. ':until', bucket .. ':spent', bucket .. ':overrun')
  for _, value in ipairs({account, bucket, values[1] or '', values[2] or '0', values[3] or '0'}) do
    rows[#rows + 1] = value
  end
end

local policy = ''
if restoring then
  local info = redis.pcall('INFO', 'memory')
  policy = type(info) == 'string' and info:match('maxmemory_policy:([%w-]+)') or ''
end
return {'done', incarnation, whole(left), whole(recovered), policy, answers, rows}
