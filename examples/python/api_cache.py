"""Invalidates entries of fastify-api-cache, with the standard library alone. See docs/protocol.md.

    ApiCache('redis://127.0.0.1:6379').invalidate('user-cache')
"""
import base64
import hashlib
import re
import socket
import sys
import zlib
from urllib.parse import unquote, urlparse

INVALIDATE = """
local now = table.concat(redis.call('TIME'), '.')
for _, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  local left = redis.call('PTTL', key)
  if type(value) ~= 'string' or left <= 0 then value = '' end
  local before, writers = string.match(value, '^~([^~]*)~(.*)$')
  local window = string.match(value, '^[^~]*(%+%..*)$')
  if writers then
    redis.call('SET', key, '~' .. (string.match(before, '^!.*') or '!') .. '~' .. writers, 'PX', left)
  elseif window then
    redis.call('SET', key, string.sub(redis.sha1hex(value .. now), 1, 24) .. window, 'PX', left)
  else
    redis.call('DEL', key)
  end
end
return #KEYS"""


def _hash(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')


def _percent(match):
    character = match.group()
    if '\ud800' <= character <= '\udfff':
        return '%%u%04X' % ord(character)
    return ''.join('%%%02X' % byte for byte in character.encode())


def _escape(name):
    units = name.encode('utf-16-le', 'surrogatepass')
    beginning = units[:1024].decode('utf-16-le', 'surrogatepass')
    escaped = re.sub(r'[^A-Za-z0-9_.-]', _percent, beginning)
    if len(units) > 1024:
        escaped += '~' + _hash(units)
    return escaped if len(escaped) <= 160 else escaped[:116] + '~' + _hash(escaped.encode())


class ApiCache:
    def __init__(self, url, prefix='api-cache', timeout=0.5):
        self.url, self.prefix, self.timeout = urlparse(url), prefix, timeout

    def version_key(self, namespace):
        return f'{self.prefix}!version:{_escape(namespace)}'

    def tag_keys(self, tag):
        """The key of the tag's group, then its own."""
        text = tag.encode('utf-16-le', 'surrogatepass').decode('utf-16-le', 'replace')
        group = zlib.crc32(text.encode()) % 64
        return [f'{self.prefix}!tags:{{{group}}}', f'{self.prefix}!tag:{{{group}}}{_escape(tag)}']

    def invalidate(self, *namespaces):
        self._run([self.version_key(namespace) for namespace in namespaces])

    def invalidate_tags(self, *tags):
        groups, keys = zip(*map(self.tag_keys, tags))
        self._run([*dict.fromkeys(groups), *keys])

    def _run(self, keys):
        """Raises OSError or RuntimeError if Redis does not confirm; then it is unknown what has been invalidated."""
        address = (self.url.hostname, self.url.port or 6379)
        with socket.create_connection(address, self.timeout) as connection:
            replies = connection.makefile('rb')
            if self.url.password:
                self._ask(connection, replies, 'AUTH', self.url.username or 'default', unquote(self.url.password))
            if self.url.path.strip('/'):
                self._ask(connection, replies, 'SELECT', self.url.path.strip('/'))
            reply = self._ask(connection, replies, 'EVAL', INVALIDATE, str(len(keys)), *keys)
            if reply != b':%d' % len(keys):
                raise RuntimeError(f'Redis replied {reply!r}')

    @staticmethod
    def _ask(connection, replies, *words):
        parts = [word.encode() for word in words]
        connection.sendall(b'*%d\r\n' % len(parts) + b''.join(b'$%d\r\n%s\r\n' % (len(part), part) for part in parts))
        reply = replies.readline().rstrip()
        if reply[:1] not in (b':', b'+'):
            raise RuntimeError(f'Redis replied {reply!r}')
        return reply


if __name__ == '__main__':
    url, what, *names = sys.argv[1:]
    getattr(ApiCache(url), what)(*names)
