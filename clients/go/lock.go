//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package appengine

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks a file until it is closed, or the process ends.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		var opened, there os.FileInfo
		if opened, err = file.Stat(); err == nil {
			there, err = os.Stat(path)
		}
		if err == nil && os.SameFile(opened, there) {
			return file, nil
		}
		err = errors.Join(err, errors.New("the file was removed by who had it before"))
	}
	file.Close()
	return nil, err
}
