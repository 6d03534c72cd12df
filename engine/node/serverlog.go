package node

import (
	"bytes"
	"log/slog"
)

// serverLog takes what net/http says of the listener's connections: of bad
// clients, for those who look closely; but a handler that broke off is a bug of
// keywheel's, and nobody may miss it.
type serverLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l serverLog) Write(line []byte) (int, error) {
	if bytes.HasPrefix(line, []byte("http: panic serving")) {
		l.log.Error("a request broke off by a bug in keywheel: please report it", "trace", string(line))
	} else {
		l.log.Debug(string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}
