"""HTML pages that need nothing but themselves: no script, no request, pictures inside."""
