package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// maxText is more than any file of keys, or any answer of a command, has.
const maxText = 4 << 20

// ReadText reads a small regular file. When others on this machine may read or
// change it, warn is told; nil hears nothing.
func ReadText(path string, warn func(text string)) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxText {
		return "", errors.New("it is too large")
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	readable, writable := Exposed(info)
	if warn != nil && (readable || writable) {
		what := map[bool]string{false: "read", true: "changed"}[writable]
		warn(fmt.Sprintf("%s can be %s by others on this machine: chmod 600 it", path, what))
	}
	return string(b), nil
}

// openRegular looks before it opens: opening a pipe waits for its writer.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return os.Open(path)
}

// Exposed reports whether users other than the file's owner and group may read
// or write it. Windows does not say so in the mode; there it is false.
func Exposed(info fs.FileInfo) (readable, writable bool) {
	if runtime.GOOS == "windows" {
		return false, false
	}
	return info.Mode()&0o004 != 0, info.Mode()&0o002 != 0
}

// Path is the file that a reference is read from; "" is that it is read from none.
func Path(ref string, o ReadOptions) string {
	if Check(ref) != nil {
		return ""
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	switch s, arg := split(ref); s.name {
	case "file":
		return resolve(arg, o)
	case "dotenv":
		path, _ := splitDotenv(arg)
		return resolve(path, o)
	default:
		return ""
	}
}

// Runs reports whether reading a reference runs a program.
func Runs(ref string) bool {
	s, _ := split(ref)
	return s != nil && s.name == "cmd"
}
