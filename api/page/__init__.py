"""GET /: a page to look at what is stored. It asks the same REST api that any other client asks:

page: the handlers
index.html, page.css: what it looks like; page.js: which view is shown, and when it asks again
data.js: requests and the key; views.js: figures and lists; plots.js: charts, drawn by dygraphs
"""
