import { SEAL_AT, SEAL_END } from './frame.js'

/*
 * A version's key holds a text. While strict writes are in flight it holds, instead,
 *
 *     ~ <the version from before, or nothing> ~ <writer>:<deadline>,<writer>:<deadline>…
 *
 * with deadlines in milliseconds by the server's clock, and expires with the last of them: a
 * version that is gone is as good as a new one. Each script is about one key, as a Cluster needs it.
 */
/** What a version's key begins with while it is held. */
export const HELD = '~'

/** Longer texts that are not holds are not ours, and no version to go back to. */
export const MAX_VERSION_BYTES = 64

const READ = `
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'string' then value = '' end
local before, list = string.match(value, '^~([^~]*)~(.*)$')
`

/** Drops the writers that died without a word: what they wrote is not known. */
const READ_HOLDS = `${READ}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local holds = {}
local mine = false
if list then
  for writer, deadline in string.gmatch(list, '([^:,]+):(%d+)') do
    if writer == ARGV[1] then mine = true
    elseif tonumber(deadline) > now then holds[#holds + 1] = writer .. ':' .. deadline
    else before = '' end
  end
else
  before = #value <= ${MAX_VERSION_BYTES} and value or ''
end
`

/** Version, seconds: replaces the version; where it is held, what was before is no more. Answers 1, or 0 where it is held. */
export const MOVE = `${READ}
if list and redis.call('PTTL', KEYS[1]) > 0 then
  redis.call('SET', KEYS[1], '~~' .. list, 'KEEPTTL')
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1`

/** Writer, milliseconds: holds the version until the writer lets go, or that long. */
export const HOLD = `${READ_HOLDS}
holds[#holds + 1] = ARGV[1] .. ':' .. string.format('%.0f', now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'PX', ARGV[2])
return 1`

/**
 * Writer, version, seconds, '1' when the writer has made the namespace old: lets go. The last one
 * opens it again, under the version from before where nobody made anything old.
 */
export const LET_GO = `${READ_HOLDS}
if ARGV[4] == '1' or (list and not mine) then before = '' end
if #holds > 0 then
  redis.call('SET', KEYS[1], '~' .. before .. '~' .. table.concat(holds, ','), 'KEEPTTL')
elseif list or ARGV[4] == '1' then
  redis.call('SET', KEYS[1], before ~= '' and before or ARGV[2], 'EX', ARGV[3])
end
return 1`

/** Holder, milliseconds: takes a lease that nobody has, or prolongs the holder's own. */
export const LEASE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`

/** Holder: gives a lease back that the holder still has. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** Eight bytes of an entry as they were seen: deletes it, unless it was filled anew since. Answers how many were deleted. */
export const DELETE_SEEN = `
if redis.call('GETRANGE', KEYS[1], ${SEAL_AT}, ${SEAL_END - 1}) ~= ARGV[1] then return 0 end
return redis.call('UNLINK', KEYS[1])`
