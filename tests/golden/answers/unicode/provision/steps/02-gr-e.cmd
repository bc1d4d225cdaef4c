echo Grüße
