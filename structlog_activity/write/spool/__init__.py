"""Where records wait on disk: segments that outlive their process, and who reads them."""
