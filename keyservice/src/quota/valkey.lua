-- One claim of one node about one account, settled at once: what keyservice/src/domain/quota does, in Valkey.
--
-- KEYS: the account's book, a hash; when this slot's memory began (0: nothing was ever spent before).
-- ARGV: node, seq (20 digits), granted, void, spent, returned, overdrawn, settled, need, want, least, limit, window
-- (ms), promise (bucket or strict), 1 if anything is lent or 0.
-- Answers: granted, void, left, wait (ms, -1 for never), how many nodes hold and may give back before that, how many were
-- lent now, 1 if this slot's memory begins now.
--
-- Numbers are doubles, exact up to 2^53; times are whole milliseconds. A seq may be any of 64 bits, so it stays text.
local now = redis.call('TIME')
local clock = now[1] * 1000 + math.floor(now[2] / 1000)

local TERM, LOAN_KEPT, BOOK_KEPT = 5500, 600000, 1200000
local AWAITED, LEAST_PART = 2000, 16
local UNHEARD_PART, GRANTS_UNHEARD = 8, 4
local PARTS, MOST_SPENT = 64, 2 ^ 40

local book_key, born_key, node, seq = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local ask = {
  granted = tonumber(ARGV[3]), void = tonumber(ARGV[4]), spent = tonumber(ARGV[5]), returned = tonumber(ARGV[6]),
  overdrawn = tonumber(ARGV[7]), settled = tonumber(ARGV[8]), need = tonumber(ARGV[9]), want = tonumber(ARGV[10]),
  least = tonumber(ARGV[11]), limit = tonumber(ARGV[12]), window = tonumber(ARGV[13]), promise = ARGV[14],
  lends = ARGV[15] == '1',
}

local book, loans, begins = nil, {}, 0

-- Text -----------------------------------------------------------------------------------------------------------

local function numbers(text)
  local list = {}
  for word in string.gmatch(text, '%S+') do list[#list + 1] = tonumber(word) end
  return list
end

local function line(list)
  local words = {}
  for index, number in ipairs(list) do words[index] = string.format('%.0f', number) end
  return table.concat(words, ' ')
end

local function read_book(text)
  local promise, rest = string.match(text, '^(%a+) (.*)$')
  local list = numbers(rest)
  local read = { promise = promise, limit = list[1], window = list[2], at = list[3], closed = list[4] }
  if promise == 'bucket' then
    read.tokens, read.fraction = list[5], list[6]
  else
    read.since, read.ends, read.sums = list[5], {}, {}
    for index = 6, #list, 2 do
      read.ends[#read.ends + 1], read.sums[#read.sums + 1] = list[index], list[index + 1]
    end
  end
  return read
end

local function write_book()
  local list = { book.limit, book.window, book.at, book.closed }
  if book.promise == 'bucket' then
    list[5], list[6] = book.tokens, book.fraction
  else
    list[5] = book.since
    for index = 1, #book.ends do
      list[#list + 1] = book.ends[index]
      list[#list + 1] = book.sums[index]
    end
  end
  return book.promise .. ' ' .. line(list)
end

local function read_loan(text)
  local last, rest = string.match(text, '^(%d+) (.*)$')
  local list = numbers(rest)
  return {
    seq = last, granted = list[1], spent = list[2], returned = list[3], lapsed = list[4], recent = list[5],
    earlier = list[6], lapsed_at = list[7], overdrawn = list[8], expiry = list[9], last_grant = list[10],
    awaited = list[11], awaited_at = list[12], is_changed = false,
  }
end

local function write_loan(loan)
  return loan.seq .. ' ' .. line({
    loan.granted, loan.spent, loan.returned, loan.lapsed, loan.recent, loan.earlier, loan.lapsed_at, loan.overdrawn,
    loan.expiry, loan.last_grant, loan.awaited, loan.awaited_at,
  })
end

-- Arithmetic ------------------------------------------------------------------------------------------------------

-- (a * b + add) / c, and what remains. Exact for a up to 2^33 and b, c, add up to 2^32, though a * b is not.
local function divide(a, b, c, add)
  local low = a % 65536
  local high = (a - low) / 65536 * b
  local rest = high % c
  local quotient = (high - rest) / c
  local sum = rest * 65536 + low * b + add
  rest = sum % c
  return quotient * 65536 + (sum - rest) / c, rest
end

local function balance(loan)
  return math.max(0, loan.granted - loan.spent - loan.returned - loan.lapsed)
end

local function lent()
  local sum = 0
  for _, loan in pairs(loans) do sum = sum + balance(loan) end
  return sum
end

-- What is left: a bucket --------------------------------------------------------------------------------------------

local function refill(of, elapsed, capacity)
  elapsed = math.min(elapsed, 2 * of.window)
  local windows = math.floor(elapsed / of.window)
  local gain, fraction = divide(elapsed - windows * of.window, of.limit, of.window, of.fraction)
  of.tokens, of.fraction = of.tokens + windows * of.limit + gain, fraction
  if of.tokens >= capacity then of.tokens, of.fraction = capacity, 0 end
end

local function debit(tokens)
  book.tokens = math.max(book.tokens - tokens, -book.limit)
end

local function time_until(of, tokens)
  local missing = tokens - of.tokens
  if missing <= 0 then return 0 end
  local time, rest = divide(missing - 1, of.window, of.limit, of.window - of.fraction)
  if rest > 0 then time = time + 1 end
  return time
end

-- What is left: runs ------------------------------------------------------------------------------------------------

-- Prolongs the newest run, if it may be so long.
local function prolong(of, at)
  local newest = #of.ends
  if newest == 0 or math.max(0, at - of.since) >= math.floor(of.window / PARTS) then return false end
  of.ends[newest] = at
  return true
end

local function spend(of, tokens, at)
  if tokens == 0 then return end
  if not prolong(of, at) then
    of.since, of.ends[#of.ends + 1], of.sums[#of.sums + 1] = at, at, 0
  end
  of.sums[#of.sums] = math.min(of.sums[#of.sums] + tokens, MOST_SPENT)
end

local function spent(of)
  local sum = 0
  for _, tokens in ipairs(of.sums) do sum = sum + tokens end
  return sum
end

local function forget_runs()
  while book.ends[1] and book.at - book.ends[1] > book.window do
    book.closed = math.max(book.closed, book.ends[1])
    table.remove(book.ends, 1)
    table.remove(book.sums, 1)
  end
end

local function credit_run(tokens, at)
  for index, ending in ipairs(book.ends) do
    if ending >= at then
      book.sums[index] = math.max(0, book.sums[index] - tokens)
      return
    end
  end
end

-- What is left, under either promise ---------------------------------------------------------------------------------

local function capacity(lent_now)
  return math.max(0, book.limit - lent_now)
end

local function pass(elapsed)
  if book.promise == 'bucket' then refill(book, elapsed, capacity(lent())) else forget_runs() end
end

local function available()
  if book.promise == 'bucket' then return math.max(0, book.tokens) end
  return math.max(0, capacity(lent()) - spent(book))
end

local function lend(tokens)
  if book.promise == 'bucket' then debit(tokens) end
end

local function spend_lent(tokens)
  if book.promise == 'strict' then spend(book, tokens, book.at) end
end

local function take_back(tokens)
  if book.promise == 'bucket' then
    book.tokens = book.tokens + tokens
    refill(book, 0, capacity(lent()))
  end
end

local function take_back_spent(tokens, at)
  if book.promise == 'bucket' then take_back(tokens) else credit_run(tokens, at) end
end

local function overdraw(tokens)
  if book.promise == 'bucket' then debit(tokens) else spend(book, tokens, book.at) end
end

-- The book ---------------------------------------------------------------------------------------------------------

local function open()
  local born = redis.call('GET', born_key)
  if not born then
    born, begins = string.format('%.0f', clock), 1
    redis.call('SET', born_key, born)
  end
  born = tonumber(born)
  local at, left = born, 0
  if born == 0 then at, left = clock, ask.limit end
  book = { promise = ask.promise, limit = ask.limit, window = ask.window, at = at, closed = 0 }
  if ask.promise == 'bucket' then
    book.tokens, book.fraction = left, 0
  else
    book.since, book.ends, book.sums = 0, {}, {}
    spend(book, ask.limit - left, at)
  end
end

local function load()
  local fields = redis.call('HGETALL', book_key)
  for index = 1, #fields, 2 do
    local field, text = fields[index], fields[index + 1]
    if field == 'book' then
      book = read_book(text)
    else
      loans[string.sub(field, 3)] = read_loan(text)
    end
  end
  if not book then open() end
end

local function by_recent(one, other)
  return one.recent < other.recent
end

-- What lapsed from a bucket can come back only as far as its room there was not refilled meanwhile.
local function bound_recent()
  if book.promise ~= 'bucket' then return end
  local room, lapsed, share = math.max(0, capacity(lent()) - book.tokens), {}, nil
  if book.fraction > 0 then room = math.max(0, room - 1) end
  for _, loan in pairs(loans) do
    if loan.recent > 0 then lapsed[#lapsed + 1] = loan end
  end
  table.sort(lapsed, by_recent)
  for index, loan in ipairs(lapsed) do
    -- From the first that does not fit on, each has the same.
    local even = math.floor(room / (#lapsed - index + 1))
    if not share and loan.recent > even then share = even end
    if share and loan.recent > share then loan.recent, loan.is_changed = share, true end
    room = math.max(0, room - loan.recent)
  end
end

local function pass_until(time)
  local elapsed = time - book.at
  if elapsed <= 0 then return end
  book.at = time
  pass(elapsed)
  bound_recent()
end

local function by_expiry(one, other)
  return one.expiry < other.expiry
end

local function advance(time)
  local due = {}
  for _, loan in pairs(loans) do
    if loan.expiry <= time then due[#due + 1] = loan end
  end
  table.sort(due, by_expiry)
  for _, loan in ipairs(due) do
    pass_until(loan.expiry)
    local lapsing = balance(loan)
    if lapsing > 0 then
      loan.earlier, loan.lapsed = loan.lapsed, loan.lapsed + lapsing
      loan.recent, loan.lapsed_at = lapsing, loan.expiry
      loan.is_changed = true
      spend_lent(lapsing)
    end
  end
  pass_until(time)
  bound_recent()
end

local function change_promise()
  local left = book.limit - lent()
  if ask.promise == 'strict' then
    left = left - book.tokens
    book.tokens, book.fraction = nil, nil
    book.promise, book.since, book.ends, book.sums = 'strict', 0, {}, {}
    spend(book, math.max(0, left), book.at)
  else
    left = math.max(left - spent(book), -book.limit)
    book.since, book.ends, book.sums = nil, nil, nil
    book.promise, book.tokens, book.fraction = 'bucket', left, 0
  end
  book.closed = math.max(book.closed, book.at)
end

local function take_over()
  -- What is left in a bucket stays, what was spent in a window too: so a limit changes while it is a bucket.
  if book.promise ~= ask.promise and ask.promise == 'bucket' then change_promise() end
  local before = book.window
  book.limit, book.window = ask.limit, ask.window
  if book.promise == 'bucket' then
    book.fraction = divide(book.fraction, book.window, before, 0)
    debit(0)
  end
  pass(0)
  if book.promise ~= ask.promise then change_promise() end
  bound_recent()
end

-- How many of the tokens lapsed, and how many were still the node's.
local function settle(loan, tokens, most_lapsed)
  local of_lapsed = math.min(tokens, loan.lapsed, most_lapsed)
  local of_balance = math.min(tokens - of_lapsed, balance(loan))
  loan.lapsed = loan.lapsed - of_lapsed
  return of_lapsed, of_balance
end

local function settle_counts(loan)
  local unknown = math.max(0, ask.granted - loan.granted)
  loan.granted = loan.granted + unknown
  lend(unknown)
  -- First what comes back: a node gives back what it was told not to spend, and that had lapsed. Of that, what lapsed
  -- before comes first.
  local most = math.max(0, loan.lapsed - ask.void)
  local of_lapsed, of_balance = settle(loan, math.max(0, ask.returned - loan.returned), most)
  loan.returned = math.max(loan.returned, ask.returned)
  local of_earlier = math.min(of_lapsed, loan.earlier)
  loan.earlier = loan.earlier - of_earlier
  of_lapsed = math.min(of_lapsed - of_earlier, loan.recent)
  loan.recent = math.min(loan.recent - of_lapsed, math.max(0, loan.lapsed - loan.earlier))
  take_back(of_balance)
  if loan.lapsed_at > book.closed then take_back_spent(of_lapsed, loan.lapsed_at) end
  -- Of what lapsed, it has spent only what it had not been told of, and what it cannot have had otherwise.
  most = math.max(0, loan.lapsed - ask.void) + math.max(0, ask.void + ask.spent + ask.returned - ask.granted)
  of_lapsed, of_balance = settle(loan, math.max(0, ask.spent - loan.spent), most)
  loan.spent = math.max(loan.spent, ask.spent)
  -- That may have been of what lapsed last.
  loan.earlier = math.min(loan.earlier, loan.lapsed)
  loan.recent = math.min(loan.recent, loan.lapsed - loan.earlier)
  spend_lent(of_balance)
  overdraw(math.max(0, ask.overdrawn - loan.overdrawn))
  loan.overdrawn = math.max(loan.overdrawn, ask.overdrawn)
end

-- How much of so many one node is lent.
local function part(tokens)
  return math.min(tokens, math.max(math.ceil(tokens / 2), math.floor(book.limit / LEAST_PART)))
end

-- How many clients were told to come back for: they may come to any node.
local function awaited()
  local sum = 0
  for _, loan in pairs(loans) do
    if book.at < loan.awaited_at + AWAITED then sum = sum + loan.awaited end
  end
  return sum
end

-- Half of what is left, so that others find some too; more if the node cannot do with less. Who only looks ahead leaves
-- what clients were told to come back for.
local function grant_to(loan)
  if not ask.lends or ask.need > book.limit then return 0 end
  local left, has = available(), balance(loan)
  if ask.need == 0 then
    return math.min(part(math.max(0, left - awaited())), math.max(0, ask.want - has))
  end
  local enough = math.max(0, ask.need - has)
  if enough > left then enough = math.max(0, ask.least - has) end
  if enough > left then return 0 end
  return math.min(math.max(0, math.max(ask.need, ask.want) - has), math.max(part(left), enough))
end

local function adopted()
  local lapsed = math.min(ask.void, math.max(0, ask.granted - ask.spent - ask.returned))
  return {
    seq = string.rep('0', 20), granted = ask.granted, spent = ask.spent, returned = ask.returned, lapsed = lapsed,
    recent = 0, earlier = 0, lapsed_at = 0, overdrawn = ask.settled, expiry = 0, last_grant = 0,
    awaited = 0, awaited_at = 0,
  }
end

-- The answer -------------------------------------------------------------------------------------------------------

local function copy()
  local same = { window = book.window, limit = book.limit, tokens = book.tokens, fraction = book.fraction }
  if book.promise == 'strict' then
    same.since, same.ends, same.sums = book.since, { unpack(book.ends) }, { unpack(book.sums) }
  end
  return same
end

-- When there are so many tokens, if the leases of others end without a word.
local function time_in_bucket(tokens, others, lent_now)
  local later, time = copy(), book.at
  for _, loan in ipairs(others) do
    if tokens <= capacity(lent_now) then break end
    refill(later, math.max(0, loan.expiry - time), capacity(lent_now))
    time, lent_now = math.max(time, loan.expiry), lent_now - loan.tokens
  end
  return time + time_until(later, tokens)
end

local function time_in_window(tokens, others, lent_now)
  local later, time = copy(), book.at
  -- What was spent of them may be settled at any time, and then counts with the newest run.
  local newest, last = #later.ends, later.since + math.floor(later.window / PARTS) - 1
  if newest > 0 and lent_now > 0 and book.at <= last then
    later.ends[newest] = math.max(later.ends[newest], last)
  end
  for _, loan in ipairs(others) do
    time, lent_now = math.max(time, loan.expiry), lent_now - loan.tokens
    prolong(later, time)
    spend(later, loan.tokens, time)
  end
  local missing, at = math.max(0, spent(later) + tokens - capacity(lent_now)), 0
  for index, ending in ipairs(later.ends) do
    if missing == 0 then break end
    missing, at = math.max(0, missing - later.sums[index]), ending + book.window + 1
  end
  return at
end

-- When there are as many as a request costs at least, if nobody else asks: at any node, so that what this one still has
-- does not help. -1: never.
local function time_of_next(loan)
  if math.max(ask.least, ask.need) > book.limit then return -1 end
  if ask.least <= available() then return book.at end
  -- While the node can go on, that is only known if it does not depend on when it will say what it spent.
  local fills_beside = book.promise == 'bucket' and ask.least <= capacity(lent())
  if balance(loan) >= ask.least and not fills_beside then return book.at end
  local leases = {}
  for name, other in pairs(loans) do
    local tokens = balance(other)
    if tokens > 0 or (other.recent > 0 and name ~= node) then
      leases[#leases + 1] = { expiry = other.expiry, tokens = tokens }
    end
  end
  table.sort(leases, by_expiry)
  local time_in = book.promise == 'bucket' and time_in_bucket or time_in_window
  return math.max(book.at + 1, time_in(ask.least, leases, lent()))
end

local function wait(next)
  if next == -1 then return -1 end
  if next <= book.at then return 0 end
  return math.max(1, next - clock)
end

-- What this node's clients are told to come back for; who comes all the same has it, or is told anew.
local function note_awaited(loan, next)
  if next > book.at and ask.want > 0 then
    loan.awaited, loan.awaited_at = ask.least, next
  elseif ask.need > 0 then
    loan.awaited, loan.awaited_at = 0, 0
  end
end

-- What the others may take until this node hears of it is not told to be left.
local function left_beside_others()
  local left, unheard = available(), math.ceil(book.limit / UNHEARD_PART)
  for name, loan in pairs(loans) do
    if name ~= node then
      if loan.awaited > 0 and book.at < loan.awaited_at + AWAITED then return 0 end
      if book.at < loan.expiry then left = left - math.max(0, loan.last_grant * GRANTS_UNHEARD - unheard) end
    end
  end
  return math.max(0, left)
end

local function save()
  local fields, gone = { 'book', write_book() }, {}
  for name, loan in pairs(loans) do
    if book.at >= loan.expiry + LOAN_KEPT then
      gone[#gone + 1] = 'n:' .. name
    elseif loan.is_changed then
      fields[#fields + 1] = 'n:' .. name
      fields[#fields + 1] = write_loan(loan)
    end
  end
  redis.call('HSET', book_key, unpack(fields))
  if #gone > 0 then redis.call('HDEL', book_key, unpack(gone)) end
  redis.call('PEXPIRE', book_key, 2 * book.window + BOOK_KEPT)
end

load()
advance(math.max(book.at, clock))
local loan = loans[node] or adopted()
loans[node] = loan
local grant = 0
local is_new = seq > loan.seq
if is_new then
  loan.seq, loan.is_changed = seq, true
  take_over()
  settle_counts(loan)
  grant = grant_to(loan)
  lend(grant)
  loan.granted, loan.last_grant, loan.expiry = loan.granted + grant, grant, book.at + TERM
end
local next = time_of_next(loan)
if is_new then note_awaited(loan, next) end
local held = next > book.at and lent() or 0
local answer = { loan.granted, loan.lapsed, left_beside_others(), wait(next), held, grant, begins }
save()
return answer
