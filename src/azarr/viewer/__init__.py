"""The viewer: a static page (index.html and what stands beside it) in which azarr itself reads, in a worker of the browser.

The folder can be copied to any web host; `azarr view` serves it on this machine. Beside the page: `worker` talks with it, `pictures` says
what to read for a picture, `coordinates` what stands at its edges, `colours` how it is painted. They run, and are tested, on any Python.
"""
