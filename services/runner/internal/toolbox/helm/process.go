package helm

import (
	"log"
	"sync"

	"github.com/towline/towline/services/runner/internal/toolbox/helm/library"
)

var setUpProcess = sync.OnceFunc(func() {
	library.SetUp()
	log.SetFlags(log.Lshortfile)
})
